package credential

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// response is what a helper prints. More keys may come with later versions of the specification.
type response struct {
	Headers http.Header `json:"headers"`
	Expires time.Time   `json:"expires"`
}

// run asks the helper at path.
func (h *Helpers) run(ctx context.Context, path, uri string) (response, error) {
	timeout := cmp.Or(h.Timeout, 10*time.Second)
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	question, err := json.Marshal(map[string]string{"uri": uri})
	if err != nil {
		return response{}, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(limited, path, "get")
	cmd.Dir, cmd.Env = h.Workspace, h.Environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(question), &stdout, &stderr
	cmd.WaitDelay = time.Second // its children may hold on to the pipes
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return response{}, ctx.Err()
	case limited.Err() != nil:
		return response{}, fmt.Errorf("took longer than %v", timeout)
	case err != nil:
		return response{}, failure(err, stderr.String())
	}
	return parseResponse(stdout.Bytes())
}

// failure says what a helper says of its failure, which goes to its stderr by the specification.
func failure(err error, stderr string) error {
	var exit *exec.ExitError
	if said := lastLine(stderr); errors.As(err, &exit) && said != "" {
		return fmt.Errorf("%s (%w)", said, err)
	}
	return err
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// parseResponse reads an answer. The answer stays out of errors: it holds a secret.
func parseResponse(b []byte) (response, error) {
	var r response
	if err := json.Unmarshal(b, &r); err != nil {
		return response{}, errors.New(`its answer is not {"headers": {NAME: [VALUE, …]}, "expires": TIME}`)
	}
	for name, values := range r.Headers {
		if !isHeader(name, values) {
			return response{}, fmt.Errorf("its answer has a header %q that can't be sent", name)
		}
	}
	return r, nil
}

func isHeader(name string, values []string) bool {
	if name == "" || strings.ContainsAny(name, " :\r\n\t") {
		return false
	}
	for _, v := range values {
		if strings.ContainsAny(v, "\r\n\x00") {
			return false
		}
	}
	return true
}
