package registry

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/registry/store"
)

// problem is an error with what the specification wants a client to be told.
type problem struct {
	status  int
	code    string
	message string
}

func (p *problem) Error() string { return p.message }

// problems says what the errors of the store are to a client. The first that fits counts.
var problems = []struct {
	err    error
	status int
	code   string
}{
	{store.ErrName, http.StatusBadRequest, "NAME_INVALID"},
	{store.ErrRepositoryUnknown, http.StatusNotFound, "NAME_UNKNOWN"},
	{store.ErrBlobUnknown, http.StatusNotFound, "BLOB_UNKNOWN"},
	{store.ErrManifestUnknown, http.StatusNotFound, "MANIFEST_UNKNOWN"},
	{store.ErrManifestInvalid, http.StatusBadRequest, "MANIFEST_INVALID"},
	{store.ErrInUse, http.StatusConflict, "DENIED"},
	{store.ErrUploadUnknown, http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"},
	{store.ErrUploadBusy, http.StatusConflict, "BLOB_UPLOAD_INVALID"},
	{store.ErrUploads, http.StatusTooManyRequests, "TOOMANYREQUESTS"},
	{store.ErrNoUploads, http.StatusMethodNotAllowed, "UNSUPPORTED"},
	{store.ErrSize, http.StatusRequestEntityTooLarge, "SIZE_INVALID"},
	{blob.ErrMismatch, http.StatusBadRequest, "DIGEST_INVALID"},
	{os.ErrDeadlineExceeded, http.StatusRequestTimeout, "BLOB_UPLOAD_INVALID"},
	{errBody, http.StatusBadRequest, "BLOB_UPLOAD_INVALID"},
	{context.Canceled, http.StatusServiceUnavailable, "UNAVAILABLE"},
}

func problemOf(err error) *problem {
	if p := new(problem); errors.As(err, &p) {
		return p
	}
	if missing := new(store.MissingError); errors.As(err, &missing) {
		return &problem{http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", err.Error()}
	}
	if gone := new(store.GoneError); errors.As(err, &gone) { // which stores were asked is for the log
		return &problem{http.StatusNotFound, "BLOB_UNKNOWN", "the bytes of the blob are gone from where they were: " + string(gone.Digest)}
	}
	if errors.Is(err, store.ErrUnavailable) {
		return &problem{http.StatusServiceUnavailable, "UNAVAILABLE", store.ErrUnavailable.Error()}
	}
	if store.IsFull(err) {
		return &problem{http.StatusInsufficientStorage, "UNAVAILABLE", store.ErrFull.Error()}
	}
	for _, p := range problems {
		if errors.Is(err, p.err) {
			return &problem{p.status, p.code, err.Error()}
		}
	}
	return &problem{http.StatusInternalServerError, "UNKNOWN", "the registry can't do this; its log says why"}
}

// writeError answers with the error, unless the answer has begun. Only the log hears what is wrong with the machine.
func writeError(w *recorder, err error) {
	if w.status != 0 {
		return
	}
	p := problemOf(err)
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	json.NewEncoder(w).Encode(map[string][]entry{"errors": {{p.code, p.message}}})
}

func writeJSON(w http.ResponseWriter, mediaType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaType)
	w.Write(append(body, '\n')) // what a client does not take is its own affair
	return nil
}
