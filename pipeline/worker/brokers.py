"""Waiting for Kafka before anything is started that cannot wait."""

import asyncio

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

log = structlog.get_logger(__name__)

AGAIN_S = 1.0
LOG_EVERY = 10


async def wait_for_brokers(brokers: str, client_id: str) -> None:
    """Returns once one of the brokers has told who leads what; asks every second and says so every ten."""
    tries = 0
    while True:
        client = AIOKafkaClient(bootstrap_servers=brokers, client_id=client_id)
        try:
            await client.bootstrap()
        except (KafkaError, OSError) as error:
            if tries % LOG_EVERY == 0:
                log.warning("kafka.away", brokers=brokers, why=str(error))
            tries += 1
        else:
            return
        finally:
            await client.close()
        await asyncio.sleep(AGAIN_S)
