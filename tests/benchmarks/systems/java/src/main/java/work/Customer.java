package work;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.nio.ByteBuffer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What is kept of a customer, and its compact binary form in the store. */
final class Customer {
    private static final int REMEMBERED = 16;
    private static final Stage[] STAGES = Stage.values();
    private static final int CHANNELS = Event.Channel.values().length;
    private static final int FIXED_BYTES = 1 + 4 + 8 + CHANNELS * 4 + 4 + 8 + 8 + 1;

    Stage stage = Stage.none;
    int seq;
    long enteredAt;
    int views;
    long firstSeen = Long.MAX_VALUE;
    long lastSeen = Long.MIN_VALUE;
    final int[] touches = new int[CHANNELS];
    private final String[] recent = new String[REMEMBERED];
    private int remembered;

    boolean hasSeen(String id) {
        for (int i = remembered - 1; i >= 0; i--) {
            if (recent[i].equals(id)) {
                return true;
            }
        }
        return false;
    }

    void remember(String id) {
        if (remembered == REMEMBERED) {
            System.arraycopy(recent, 1, recent, 0, --remembered);
        }
        recent[remembered++] = id;
    }

    static Serde<Customer> serde() {
        return Serdes.serdeFrom(
            (topic, customer) -> customer == null ? null : customer.toBytes(),
            (topic, bytes) -> bytes == null ? null : fromBytes(bytes));
    }

    private byte[] toBytes() {
        int size = FIXED_BYTES;
        for (int i = 0; i < remembered; i++) {
            size += 1 + recent[i].length();
        }
        ByteBuffer out = ByteBuffer.allocate(size);
        out.put((byte) stage.ordinal()).putInt(seq).putLong(enteredAt).putInt(views);
        out.putLong(firstSeen).putLong(lastSeen);
        for (int count : touches) {
            out.putInt(count);
        }
        out.put((byte) remembered);
        for (int i = 0; i < remembered; i++) {
            byte[] id = recent[i].getBytes(ISO_8859_1);
            out.put((byte) id.length).put(id);
        }
        return out.array();
    }

    private static Customer fromBytes(byte[] bytes) {
        ByteBuffer in = ByteBuffer.wrap(bytes);
        Customer customer = new Customer();
        customer.stage = STAGES[in.get()];
        customer.seq = in.getInt();
        customer.enteredAt = in.getLong();
        customer.views = in.getInt();
        customer.firstSeen = in.getLong();
        customer.lastSeen = in.getLong();
        for (int i = 0; i < CHANNELS; i++) {
            customer.touches[i] = in.getInt();
        }
        customer.remembered = in.get();
        for (int i = 0; i < customer.remembered; i++) {
            int length = in.get();
            customer.recent[i] = new String(bytes, in.position(), length, ISO_8859_1);
            in.position(in.position() + length);
        }
        return customer;
    }
}
