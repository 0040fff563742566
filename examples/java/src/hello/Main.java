package hello;

import java.io.IOException;

/** Greets. */
public final class Main {
  public static void main(String[] arguments) throws IOException {
    System.out.println(Greeting.text() + " " + Runtime.version().feature());
  }
}
