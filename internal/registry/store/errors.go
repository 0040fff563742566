package store

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/bazel-contrib/rules_img/internal/oci"
)

// What a caller may have to tell apart. Errors wrap one of these, or [blob.ErrMismatch] for bytes that are not what they should be,
// or are the machine's.
var (
	ErrName              = errors.New("no valid name")
	ErrRepositoryUnknown = errors.New("repository is not known")
	ErrBlobUnknown       = errors.New("blob is not in the repository")
	ErrManifestUnknown   = errors.New("manifest is not in the repository")
	ErrManifestInvalid   = errors.New("manifest is not valid")
	ErrInUse             = errors.New("a manifest of the repository refers to it")
	ErrUploadUnknown     = errors.New("upload is not known, or was given up")
	ErrUploadBusy        = errors.New("upload is being written by another request")
	ErrUploads           = errors.New("too many unfinished uploads")
	ErrSize              = errors.New("blob is too large")
	ErrNoUploads         = errors.New("this registry takes no uploads: blobs come from where they are already")
	ErrUnavailable       = errors.New("a store that may have the blob can't be asked")
	ErrFull              = errors.New("there is no room left where the registry keeps its files")
)

// IsFull reports whether err is the machine's way to say [ErrFull].
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// mostMissing are named by a [MissingError]. A manifest may lack a hundred thousand.
const mostMissing = 10

// MissingError says what a manifest refers to that its repository has not got in the size that the manifest says.
type MissingError struct{ Missing []oci.Descriptor }

func (e *MissingError) Error() string {
	var all []string
	for _, d := range e.Missing[:min(len(e.Missing), mostMissing)] {
		all = append(all, fmt.Sprintf("%s of %d bytes", d.Digest, d.Size))
	}
	if more := len(e.Missing) - len(all); more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return "manifest refers to what is not in the repository: " + strings.Join(all, ", ")
}

// GoneError says that a repository has a blob, but none of the places that were asked has its bytes any more.
type GoneError struct {
	Digest oci.Digest
	Asked  error // what each place said
}

func (e *GoneError) Error() string { return fmt.Sprintf("%s: %v", ErrBlobUnknown, e.Asked) }

// Is makes it an [ErrBlobUnknown].
func (e *GoneError) Is(target error) bool { return target == ErrBlobUnknown }
