package work;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** The fold of the common work. */
final class Fold implements Processor<String, byte[], String, byte[]> {
    static final String STORE = "customers";
    private static final long SILENCE_MS = 30L * 86_400_000;
    private static final JsonFactory JSON = new JsonFactory();

    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, Customer> customers;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        this.customers = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        Event event = Event.parse(record.value());
        Customer customer = customers.get(record.key());
        if (customer == null) {
            customer = new Customer();
        } else if (customer.hasSeen(event.id())) {
            return;
        }
        customer.touches[event.channel().ordinal()]++;
        if (customer.stage.canLapse() && event.at() - customer.lastSeen > SILENCE_MS) {
            long lapsedAt = customer.lastSeen + SILENCE_MS;
            move(record, customer, event, Stage.lapsed, lapsedAt, Moment.format(lapsedAt));
        }
        if (event.type().equals("product_viewed")) {
            customer.views++;
        }
        Stage stage = customer.stage.after(event.type(), customer.views);
        if (stage != null) {
            move(record, customer, event, stage, event.at(), event.occurredAt());
        }
        customer.firstSeen = Math.min(customer.firstSeen, event.at());
        customer.lastSeen = Math.max(customer.lastSeen, event.at());
        customer.remember(event.id());
        customers.put(record.key(), customer);
    }

    private void move(Record<String, byte[]> record, Customer customer, Event event, Stage stage, long at, String moment) {
        customer.seq++;
        context.forward(record.withValue(transition(record.key(), customer, stage, moment, event.id())));
        customer.stage = stage;
        customer.enteredAt = at;
        customer.views = 0;
    }

    private static byte[] transition(String key, Customer customer, Stage stage, String moment, String cause) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(256);
        try (JsonGenerator json = JSON.createGenerator(out)) {
            json.writeStartObject();
            json.writeStringField("id", key + ":" + customer.seq);
            json.writeStringField("customer_id", key);
            json.writeNumberField("seq", customer.seq);
            json.writeStringField("from", customer.stage.name());
            json.writeStringField("to", stage.name());
            json.writeStringField("occurred_at", moment);
            json.writeStringField("cause", cause);
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.toByteArray();
    }
}
