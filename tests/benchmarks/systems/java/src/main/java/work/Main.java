package work;

import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.Stores;

/** The common work on Kafka Streams, exactly-once, one thread; all else as it comes. */
public final class Main {
    private static final Map<String, String> ENVIRONMENT = System.getenv();

    private Main() {
    }

    public static void main(String[] args) throws InterruptedException {
        KafkaStreams streams = new KafkaStreams(topology(), settings());
        CountDownLatch failed = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            failed.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(15))));
        streams.start();
        failed.await();
        System.exit(1);
    }

    private static Topology topology() {
        var text = Serdes.String();
        var bytes = Serdes.ByteArray();
        var store = Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(Fold.STORE), text, Customer.serde());
        return new Topology()
            .addSource(Topology.AutoOffsetReset.EARLIEST, "events", text.deserializer(), bytes.deserializer(),
                ENVIRONMENT.get("WORK_INPUT"))
            .addProcessor("fold", Fold::new, "events")
            .addStateStore(store, "fold")
            .addSink("transitions", ENVIRONMENT.get("WORK_OUTPUT"), text.serializer(), bytes.serializer(), "fold");
    }

    private static Properties settings() {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, ENVIRONMENT.get("WORK_ID"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, ENVIRONMENT.get("WORK_BROKER"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, ENVIRONMENT.get("WORK_STATE"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "1");
        return settings;
    }
}
