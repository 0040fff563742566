package remote

import (
	"math"
	"net/http"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestChallengesAreRead(t *testing.T) {
	bearer := func(parameters map[string]string) challenge { return challenge{"bearer", parameters} }
	for name, c := range map[string]struct {
		headers []string
		want    challenge
	}{
		"a token server": {
			[]string{`Bearer realm="https://auth.test/token",service="reg.test",scope="repository:a/b:pull,push"`},
			bearer(map[string]string{"realm": "https://auth.test/token", "service": "reg.test", "scope": "repository:a/b:pull,push"}),
		},
		"a password":                 {[]string{`Basic realm="x"`}, challenge{"basic", map[string]string{"realm": "x"}}},
		"a password without a realm": {[]string{`basic`}, challenge{"basic", map[string]string{}}},
		"both in one header": {
			[]string{`Basic realm="x", Bearer realm="https://t.test"`}, bearer(map[string]string{"realm": "https://t.test"}),
		},
		"both in two headers": {
			[]string{`Basic realm="x"`, `BEARER REALM=https://t.test`}, bearer(map[string]string{"realm": "https://t.test"}),
		},
		"escaped quotes": {
			[]string{`Bearer realm="https://t.test/?a=\"b\\", service=s`},
			bearer(map[string]string{"realm": `https://t.test/?a="b\`, "service": "s"}),
		},
		"one we can't meet":         {[]string{`Negotiate, Basic realm=x`}, challenge{"basic", map[string]string{"realm": "x"}}},
		"a token server without it": {[]string{`Bearer service="s"`}, challenge{}},
		"none":                      {nil, challenge{}},
		"rubbish":                   {[]string{`="`, `,,,`, `Bearer realm="never ends`}, bearer(map[string]string{"realm": "never ends"})},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseChallenges(http.Header{"Www-Authenticate": c.headers})
			if ok != (c.want.scheme != "") {
				t.Errorf("found one: %v", ok)
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(challenge{})); d != "" {
				t.Errorf("challenge (-want +got):\n%s", d)
			}
		})
	}
}

func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://auth.test/token",service="reg.test"`)
	f.Add(`Basic realm="\`)
	f.Add(`a=b c="d`)
	f.Fuzz(func(t *testing.T, header string) {
		for _, c := range splitChallenges(header) {
			if c.scheme == "" || c.parameters == nil {
				t.Errorf("%q has the challenge %+v", header, c)
			}
		}
	})
}

func TestTheRangeOfAnUploadIsRead(t *testing.T) {
	for header, want := range map[string]int64{
		"0-9": 10, "bytes=0-9": 10, "0-0": 0, "": 0, "1-9": 0, "0-9x": 0, "0--1": 0, "0-9999999999999999999": 0,
		"0-999999999999999999": 1_000_000_000_000_000_000,
	} {
		if got := received(header); got != want {
			t.Errorf("%q are %d bytes; want %d", header, got, want)
		}
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "Thu, 02 Jan 2025 03:05:05 GMT": time.Minute, "Thu, 02 Jan 2020 03:05:05 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q is %v; want %v", header, got, want)
		}
	}
}

// However long a token server says that a token lives, it is asked for again only when that is over.
func TestTokensLive(t *testing.T) {
	for seconds, want := range map[int]time.Duration{0: 45 * time.Second, -1: 45 * time.Second, 4: 3 * time.Second, 3600: 3570 * time.Second} {
		if got := lifetime(seconds); got != want {
			t.Errorf("%d seconds are %v: want %v", seconds, got, want)
		}
	}
	if got := lifetime(math.MaxInt); got < 365*24*time.Hour {
		t.Errorf("a token for ever lives for %v", got)
	}
}

func FuzzErrorsOfARegistry(f *testing.F) {
	f.Add([]byte(`{"errors":[{"code":"DENIED","message":"no\nway"}]}`))
	f.Add([]byte(`{"errors":[{"code":"\u001b[2J"}]}`))
	f.Add([]byte(`{"errors":[{"message":"\u009b2J \u202etxet"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, message := decodeErrors(body)
		for _, r := range message {
			if !unicode.IsPrint(r) {
				t.Errorf("%q would control a terminal", message)
			}
		}
	})
}
