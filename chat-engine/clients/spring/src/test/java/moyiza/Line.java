package moyiza;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Pattern;

/** A TCP line to the broker that a test can cut or hold. */
final class Line implements AutoCloseable {
    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private final int port;

    Line() throws Exception {
        port = (int) number(post(""), "port");
    }

    String url() {
        return "ws://127.0.0.1:" + port + "/ws";
    }

    /** {@code drop}, {@code cut}, {@code restore}, {@code hold-up} (towards the broker) or {@code hold-down}. */
    void does(String verb) throws Exception {
        post(port + "/" + verb);
    }

    /** What has passed: {@code up}, {@code down}, {@code upPieces}, {@code downPieces}. */
    long passed(String what) throws Exception {
        return number(send(HttpRequest.newBuilder(at(String.valueOf(port))).build()), what);
    }

    /** The same, when so many more pieces have passed downwards. */
    long passedAfter(int pieces, String what) throws Exception {
        return number(send(HttpRequest.newBuilder(at(port + "/down/" + pieces)).build()), what);
    }

    @Override
    public void close() throws Exception {
        does("close");
    }

    private static URI at(String path) {
        return URI.create(Broker.setting("BROKER_LINES") + "/" + path);
    }

    private static String post(String path) throws Exception {
        return send(HttpRequest.newBuilder(at(path)).POST(HttpRequest.BodyPublishers.noBody()).build());
    }

    private static String send(HttpRequest request) throws IOException, InterruptedException {
        return HTTP.send(request, BodyHandlers.ofString()).body();
    }

    private static long number(String json, String key) {
        var found = Pattern.compile("\"" + key + "\":(\\d+)").matcher(json);
        if (!found.find()) throw new IllegalStateException(json + " has no " + key);
        return Long.parseLong(found.group(1));
    }
}
