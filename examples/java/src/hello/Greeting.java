package hello;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;

/** A greeting, which a file in the jar says. */
final class Greeting {
  private Greeting() {}

  static String text() throws IOException {
    try (InputStream file = Greeting.class.getResourceAsStream("greeting.txt")) {
      return new String(file.readAllBytes(), StandardCharsets.UTF_8).strip();
    }
  }
}
