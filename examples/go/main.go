// Hello greets, and says in which time zone and with how many certificate authorities: the base has both.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

func main() {
	zone, err := time.LoadLocation("Europe/Lisbon")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	authorities, err := os.ReadFile(os.Getenv("SSL_CERT_FILE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("hello from Go on %s, for %s, with %d authorities\n", runtime.GOARCH, zone, strings.Count(string(authorities), "BEGIN"))
}
