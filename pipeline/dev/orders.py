"""What the CRM takes back, as the commands that a person would give: blocks of an identity, or of a merge."""

import msgspec

from pipeline.adapters.kafka.sender import RawSender, home_partition
from pipeline.dev.crm import Decision
from pipeline.domain.identity import Identities, public_key


class Orders:
    """Writes commands to `topic` by `sender`, each to the lane of the identity that it is about."""

    def __init__(self, sender: RawSender, topic: str, identities: Identities) -> None:
        self._sender = sender
        self._topic = topic
        self._identities = identities

    def give(self, decision: Decision) -> None:
        """Adds one decision that is no merge; call `flush` to send it."""
        lanes = self._sender.partitions[self._topic]
        identity, customer = self._about(decision)
        lane = home_partition(identity.encode(), lanes)
        command = {
            "id": f"crm-{decision.at}-{decision.customer}",
            "command": "block",
            "lane": lane,
            "reason": "taken for somebody else" if decision.email else "not the same person",
            "at": decision.at,
            "identity": identity,
            "customer": customer,
        }
        self._sender.put(self._topic, lane, identity.encode(), msgspec.json.encode(command))

    async def flush(self) -> None:
        """Sends what was given."""
        await self._sender.flush()

    def _about(self, decision: Decision) -> tuple[str, str]:
        """The identity and the customer from whom it is kept, as public keys."""
        if not decision.email:
            return decision.customer, decision.other
        key, _ = self._identities.look_up("email", decision.email)
        return public_key(key), decision.customer
