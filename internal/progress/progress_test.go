package progress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// slowly is a source of blobs that deliver a megabyte each second.
var slowly = blob.SourceFunc(func(_ context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	left := d.Size
	return io.NopCloser(readerFunc(func(p []byte) (int, error) {
		if left == 0 {
			return 0, io.EOF
		}
		time.Sleep(10 * time.Millisecond)
		n := min(int64(len(p)), 10_000, left)
		left -= n
		return int(n), nil
	})), nil
})

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// store is a sink that reads what it puts, and mounts what is called so.
type store struct{ mounts oci.Digest }

func (store) Missing(_ context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	return ds, nil
}

func (s store) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	if d.Digest == s.mounts {
		time.Sleep(time.Second)
		return nil
	}
	r, err := src.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 100_000))
	return err
}

func layer(name string, size int64) oci.Descriptor {
	return oci.Descriptor{MediaType: oci.MediaTypeLayerGzip, Digest: oci.DigestOf([]byte(name)), Size: size}
}

// screen is what a person sees: it obeys the two control sequences that the display uses.
type screen struct {
	mu    sync.Mutex
	lines []string
}

// shown is what is on the screen once everything rests.
func (s *screen) shown() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(p)
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b["):
			var n int
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &n); err == nil {
				s.lines = s.lines[:len(s.lines)-n]
			}
			_, text, _ = strings.Cut(text, text[strings.IndexAny(text, "AJ"):][:1])
		case text[0] == '\r':
			text = text[1:]
		default:
			line, rest, ok := strings.Cut(text, "\n")
			if !ok {
				return 0, errors.New("half a line")
			}
			s.lines, text = append(s.lines, line), rest
		}
	}
	return len(p), nil
}

// withoutRates hides speeds near a megabyte a second, whose last digit depends on when one looks.
func withoutRates(lines []string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, regexp.MustCompile(` +(99\d\.\d kB|1\.0 MB)/s`).ReplaceAllString(l, " RATE"))
	}
	return out
}

func size() (int, int) { return 100, 10 }

func TestATerminalShowsEachBlobUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s screen
		d := Terminal(&s, size)
		big, small, mounted := layer("big", 10_000_000), layer("small", 1_000_000), layer("mounted", 5_000_000)
		sink := d.Sink(store{mounts: mounted.Digest})
		d.During(t.Context(), func(ctx context.Context) {
			time.Sleep(5 * time.Millisecond) // so that nothing happens just when the display looks
			for _, b := range []oci.Descriptor{big, small, mounted} {
				go sink.Put(ctx, b, slowly)
			}
			time.Sleep(950 * time.Millisecond)
			if got := s.shown(); len(got) != 3 {
				t.Errorf("after a second there are %q; want two blobs and what is done", got)
			}
			time.Sleep(4 * time.Second)
			want := []string{
				"  layer    " + big.Digest.Encoded()[:12] + "     4.9 MB of 10.0 MB RATE  5s left",
				"  1 blob, 1.0 MB done",
			}
			if d := cmp.Diff(want, withoutRates(s.shown())); d != "" {
				t.Errorf("the screen (-want +got):\n%s", d)
			}
			time.Sleep(6 * time.Second)
		})
		if got := s.shown(); len(got) > 0 {
			t.Errorf("%q stay on the screen", got)
		}
	})
}

func TestATerminalIsNotOverrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s screen
		d := Terminal(&s, func() (int, int) { return 40, 10 })
		sink := d.Sink(store{})
		d.During(t.Context(), func(ctx context.Context) {
			for i := range 20 {
				go sink.Put(ctx, layer(fmt.Sprint(i), 2_000_000), slowly)
			}
			time.Sleep(1050 * time.Millisecond)
			got := s.shown()
			if len(got) != 9 || got[7] != "  and 13 more" {
				t.Errorf("the screen shows %q", got)
			}
			for _, l := range got {
				if len(l) > 39 {
					t.Errorf("line of %d columns: %q", len(l), l)
				}
			}
			time.Sleep(time.Minute)
		})
	})
}

func TestALogHearsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := Lines(&log, 10*time.Second+5*time.Millisecond)
		sink := d.Sink(store{})
		d.During(t.Context(), func(ctx context.Context) { sink.Put(ctx, layer("quick", 1_000_000), slowly) })
		if log.Len() > 0 {
			t.Errorf("quick work is told of: %q", log.String())
		}
		slow := layer("slow", 25_000_000)
		d.During(t.Context(), func(ctx context.Context) { sink.Put(ctx, slow, slowly) })
		lines := withoutRates(strings.Split(strings.TrimSpace(log.String()), "\n"))
		want := "img: 1 blob, 1.0 MB done, 1 under way, RATE, 15.0 MB to go; the largest is layer " + slow.Digest.Encoded()[:12] + " of 25.0 MB"
		if len(lines) != 2 || lines[0] != want {
			t.Errorf("25 seconds say %q; want two lines, the first %q", lines, want)
		}
	})
}

// TestAPauseBeforeARetryIsShown with its reason, once however much waits for it.
func TestAPauseBeforeARetryIsShown(t *testing.T) {
	for name, row := range map[string]struct {
		display func(io.Writer) *Display
		want    string
	}{
		"on a terminal": {func(w io.Writer) *Display { return Terminal(w, size) }, `^  retrying in [123] s: registry r: 429$`},
		"in a log":      {func(w io.Writer) *Display { return Lines(w, time.Second) }, `^img: retrying in [123] s: registry r: 429$`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s screen
				d := row.display(&s)
				retry := blob.Retry{Attempts: 2, Wait: 4 * time.Second, Pausing: d.Pausing}
				d.During(t.Context(), func(ctx context.Context) {
					for range 2 {
						go retry.Do(ctx, func() error { return tooMany{} })
					}
					time.Sleep(1150 * time.Millisecond)
					if got := s.shown(); len(got) != 1 || !regexp.MustCompile(row.want).MatchString(got[0]) {
						t.Errorf("is shown as %q: want one line, %s", got, row.want)
					}
					time.Sleep(10 * time.Second)
				})
				if len(d.pauses) > 0 {
					t.Errorf("%d pauses are never over", len(d.pauses))
				}
			})
		})
	}
	(*Display)(nil).Pausing(time.Second, tooMany{})()
}

type tooMany struct{}

func (tooMany) Error() string   { return "registry r:\x1b429\nslow down" }
func (tooMany) Transient() bool { return true }

// TestASecondTryIsTheSameTransfer: it goes back to where it starts again.
func TestASecondTryIsTheSameTransfer(t *testing.T) {
	d := Lines(io.Discard, time.Hour)
	b := layer("again", 100)
	w := &watched{source: ranges{}, display: d}
	r, _ := w.Open(t.Context(), b)
	io.CopyN(io.Discard, r, 70)
	if r, err := w.OpenRange(t.Context(), b, 40); err != nil {
		t.Fatal(err)
	} else {
		io.CopyN(io.Discard, r, 10)
	}
	if at := w.transfer.at.Load(); at != 50 || len(d.active) != 1 {
		t.Errorf("%d transfers, at %d; want one at 50", len(d.active), at)
	}
}

type ranges struct{}

func (ranges) Open(context.Context, oci.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(strings.Repeat("x", 100))), nil
}

func (r ranges) OpenRange(ctx context.Context, d oci.Descriptor, _ int64) (io.ReadCloser, error) {
	return r.Open(ctx, d)
}

// TestABufferThatFillsIsNoSpeed: it takes the first megabytes at once.
func TestABufferThatFillsIsNoSpeed(t *testing.T) {
	var r rate
	if v := r.at(100*time.Millisecond, 4_000_000); v != 0 {
		t.Errorf("after a tenth of a second the speed is %v; want none yet", v)
	}
	if v := r.at(600*time.Millisecond, 4_500_000); v != 1_000_000 {
		t.Errorf("the speed is %v; want a megabyte a second", v)
	}
}

func TestWhatIsSentWaitsForTheAnswer(t *testing.T) {
	b := layer("sent", 1000)
	if l := line(state{b, 1000, 5}); !strings.HasSuffix(l, "sent, waiting for the answer") {
		t.Errorf("the line is %q", l)
	}
}

func TestNoDisplayShowsNothing(t *testing.T) {
	var d *Display
	ran := false
	d.During(t.Context(), func(context.Context) { ran = true })
	if s := (store{}); !ran || d.Sink(s) != blob.Sink(s) {
		t.Error("a display that is none is in the way")
	}
}

func TestBytesAreWrittenForPeople(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 12_345_678: "12.3 MB",
		5_000_000_000: "5.0 GB", 7_200_000_000_000_000: "7200.0 TB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is written %q; want %q", n, got, want)
		}
	}
}

func TestJSONControlsNoTerminal(t *testing.T) {
	const text = "a\"\\\x00\n\x1b[2J\x7f\u009b2J\u202e\U000e0001é😀"
	plain, err := json.Marshal(map[string]string{text: text})
	if err != nil {
		t.Fatal(err)
	}
	out := JSON(append(plain, '\n'))
	if at := strings.IndexFunc(strings.TrimSuffix(string(out), "\n"), func(r rune) bool { return !unicode.IsPrint(r) }); at >= 0 {
		t.Errorf("at %d a character does not print: %q", at, out)
	}
	var got map[string]string
	if err := json.Unmarshal(out, &got); err != nil || got[text] != text {
		t.Errorf("it says %q, %v", got, err)
	}
}
