package work;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;

/** The fields of an event that the fold reads, by a streaming parser. */
record Event(String id, String type, Channel channel, String occurredAt, long at) {
    enum Channel { web, email, social, phone, store }

    private static final JsonFactory JSON = new JsonFactory();

    static Event parse(byte[] json) {
        String id = null;
        String type = null;
        Channel channel = null;
        String occurredAt = null;
        try (JsonParser parser = JSON.createParser(json)) {
            parser.nextToken();
            for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
                JsonToken value = parser.nextToken();
                switch (field) {
                    case "id" -> id = parser.getText();
                    case "type" -> type = parser.getText();
                    case "channel" -> channel = Channel.valueOf(parser.getText());
                    case "occurred_at" -> occurredAt = parser.getText();
                    default -> {
                        if (value.isStructStart()) {
                            parser.skipChildren();
                        }
                    }
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return new Event(id, type, channel, occurredAt, Moment.parse(occurredAt));
    }
}
