package work;

import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;

/** RFC 3339 in UTC with milliseconds: 24 characters. Parsed by place, several times as fast as by a formatter. */
final class Moment {
    private static final DateTimeFormatter FORMAT =
        DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSX").withZone(ZoneOffset.UTC);

    private Moment() {
    }

    static long parse(String text) {
        long day = LocalDate.of(number(text, 0, 4), number(text, 5, 7), number(text, 8, 10)).toEpochDay();
        long seconds = day * 86_400 + number(text, 11, 13) * 3_600L + number(text, 14, 16) * 60L + number(text, 17, 19);
        return seconds * 1_000 + number(text, 20, 23);
    }

    static String format(long ms) {
        return FORMAT.format(Instant.ofEpochMilli(ms));
    }

    private static int number(String text, int from, int to) {
        return Integer.parseInt(text, from, to, 10);
    }
}
