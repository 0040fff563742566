// Package registry serves repositories by the OCI distribution specification, version 1.1: pull, push, content discovery and content
// management, over HTTP.
//
// The entry point is [New]. Its law: handlers translate between HTTP and the package store, and decide nothing that the disk has to
// keep. Who may not come in is told so before a byte of the body is read.
package registry

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/bazel-contrib/rules_img/internal/oci"
	"github.com/bazel-contrib/rules_img/internal/registry/auth"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// Options say how to serve. Only Store is needed.
type Options struct {
	Store *store.Store
	// ManifestSize is the largest manifest that is taken; 0 is 4 MiB, which the specification asks for.
	ManifestSize int64
	// Stall is how long a request or a response may stand still before it is cut; 0 is a minute.
	Stall time.Duration
	// Gate says who may come in; nil lets everybody in.
	Gate Gate
	// Token, if not nil, answers at [auth.TokenPath], where anybody may ask for what Gate then lets in.
	Token http.HandlerFunc
	// Answered, if not nil, is told of each request after its answer. A method that no standard knows is "other".
	Answered func(method string, status int, written int64, took time.Duration)
	// Log gets a line for each request; nil is no log.
	Log *slog.Logger
}

// Gate lets requests in. It must not read their bodies.
type Gate interface {
	// Admit returns the name of who sends the request. If it does not know, it returns a challenge, which tells the client how to
	// show who it is.
	Admit(r *http.Request) (who, challenge string)
}

// Registry is the [http.Handler] of a registry.
type Registry struct{ Options }

// New returns the handler.
func New(o Options) *Registry {
	o.ManifestSize = cmp.Or(o.ManifestSize, 4<<20)
	o.ManifestSize = min(o.ManifestSize, oci.MaxManifestSize)
	o.Stall = cmp.Or(o.Stall, time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Registry{o}
}

// ServeHTTP implements [http.Handler].
func (s *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started, recorded := time.Now(), s.timed(w, r)
	recorded.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	recorded.Header().Set("X-Content-Type-Options", "nosniff")
	err := s.serve(recorded, r)
	if err != nil {
		writeError(recorded, err)
	}
	s.log(r, recorded, started, err)
}

func (s *Registry) serve(w *recorder, r *http.Request) error {
	if s.Token != nil && r.URL.Path == auth.TokenPath {
		s.Token(w, r)
		return nil
	}
	if err := s.admit(w, r); err != nil {
		return err
	}
	to, ok := parsePath(r.URL.Path)
	if !ok {
		return &problem{http.StatusNotFound, "NAME_UNKNOWN", "there is nothing at this path"}
	}
	handle, err := to.handler(r.Method)
	if err != nil {
		w.Header().Set("Allow", to.allowed())
		return err
	}
	c := call{s, w, r, to.reference, store.Repository{}}
	if to.kind != base {
		if c.repository, err = s.Store.Repository(to.name); err != nil {
			return err
		}
	}
	return handle(c)
}

func (s *Registry) admit(w *recorder, r *http.Request) error {
	if s.Gate == nil {
		return nil
	}
	who, challenge := s.Gate.Admit(r)
	if challenge == "" {
		w.who = who
		return nil
	}
	w.Header().Set("Www-Authenticate", challenge)
	return &problem{http.StatusUnauthorized, "UNAUTHORIZED", "want a name and password, or a token, that is known here"}
}

// call is one request to one repository.
type call struct {
	*Registry
	w          http.ResponseWriter
	r          *http.Request
	reference  string // the last part of the path: a digest, a tag or an upload
	repository store.Repository
}

func (s *Registry) log(r *http.Request, w *recorder, started time.Time, err error) {
	if s.Answered != nil {
		s.Answered(knownMethod(r.Method), w.status, w.written, time.Since(started))
	}
	args := []any{"status", w.status, "bytes", w.written, "took", time.Since(started), "from", r.RemoteAddr}
	if w.who != "" {
		args = append(args, "user", w.who)
	}
	if err != nil {
		args = append(args, "error", err)
	}
	level := slog.LevelInfo
	if isTrouble(r, w.status, err) {
		level = slog.LevelError
	}
	s.Log.Log(r.Context(), level, r.Method+" "+r.URL.RequestURI(), args...)
}

// isTrouble reports whether an error is for the operator to look at: one of ours, or of a store, also when the answer had begun. What a client
// does wrong is not, nor that it goes away.
func isTrouble(r *http.Request, status int, err error) bool {
	if gone := new(store.GoneError); errors.As(err, &gone) {
		return true
	}
	return r.Context().Err() == nil && (status >= http.StatusInternalServerError || err != nil && status < http.StatusBadRequest)
}

// knownMethod keeps what strangers call methods from becoming names that are remembered.
func knownMethod(method string) string {
	if slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete}, method) {
		return method
	}
	return "other"
}
