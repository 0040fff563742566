// Package s3 keeps blobs in a bucket of Amazon S3, or of a store that speaks its protocol: the blob sha256:X is the object blobs/sha256/X, as in an OCI
// layout.
//
// The entry point is [Open]. Its law: an object is there as a whole, verified, or not at all, since the protocol has no half objects; it is streamed both
// ways; and the bucket's other objects are left alone.
package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/bazel-contrib/rules_img/internal/blob"
	"github.com/bazel-contrib/rules_img/internal/oci"
)

// Options say which bucket is meant.
type Options struct {
	Bucket string
	// Endpoint is the URL of the server; empty is Amazon's.
	Endpoint string
	// Region is the bucket's; empty asks the server.
	Region string
	// Profile is that of the shared credentials file; empty is the environment's keys, the default profile, or what the machine has in its cloud.
	Profile string
	// Stall is how long the server may stand still before a transfer is given up; 0 is two minutes, since it may take one for an answer.
	Stall time.Duration
}

// Bucket is a store of blobs: a [blob.Source], [blob.RangeOpener] and [blob.Sink]. Wrap what is read in [blob.Retry] and [blob.Verify].
type Bucket struct {
	name string
	core minio.Core
}

// Open returns the bucket. It asks the server whether it is there.
func Open(ctx context.Context, o Options) (*Bucket, error) {
	host, secure, err := parseEndpoint(o.Endpoint)
	if err != nil {
		return nil, err
	}
	transport, err := transport(secure, cmp.Or(o.Stall, 2*time.Minute))
	if err != nil {
		return nil, fmt.Errorf("s3 %s: %w", host, err)
	}
	client, err := minio.New(host, &minio.Options{Creds: o.credentials(), Secure: secure, Transport: transport, Region: o.Region, MaxRetries: 1})
	if err != nil {
		return nil, fmt.Errorf("s3 %s: %w", host, err)
	}
	b := &Bucket{o.Bucket, minio.Core{Client: client}}
	there, err := client.BucketExists(ctx, b.name)
	if err == nil && !there {
		err = errors.New("there is no such bucket")
	}
	if err != nil {
		return nil, b.trouble(ctx, "", err)
	}
	return b, nil
}

func parseEndpoint(s string) (host string, secure bool, err error) {
	if s == "" {
		return "s3.amazonaws.com", true, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		said := s
		if at := strings.LastIndex(s, "@"); at >= 0 { // what is before it may be a secret
			said = "…" + s[at:]
		}
		return "", false, fmt.Errorf("s3 endpoint %s: want http://HOST:PORT or https://HOST; keys are in the environment or in a profile", said)
	}
	return u.Host, u.Scheme == "https", nil
}

func (o Options) credentials() *credentials.Credentials {
	if o.Profile != "" {
		return credentials.NewFileAWSCredentials("", o.Profile)
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Transport: http.DefaultTransport}},
	})
}

func key(d oci.Digest) string { return "blobs/sha256/" + d.Encoded() }

// Open implements [blob.Source].
func (b *Bucket) Open(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return b.OpenRange(ctx, d, 0)
}

// OpenRange implements [blob.RangeOpener].
func (b *Bucket) OpenRange(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return nil, b.trouble(ctx, d.Digest, err)
	}
	if offset < 0 || offset > d.Size {
		return nil, b.trouble(ctx, d.Digest, fmt.Errorf("offset %d is outside its %d bytes", offset, d.Size))
	}
	if offset == d.Size && offset > 0 { // no server has a range for that
		return io.NopCloser(strings.NewReader("")), nil
	}
	var o minio.GetObjectOptions
	if offset > 0 {
		if err := o.SetRange(offset, 0); err != nil {
			return nil, b.trouble(ctx, d.Digest, err)
		}
	}
	body, _, _, err := b.core.GetObject(ctx, b.name, key(d.Digest), o)
	if err != nil {
		return nil, b.trouble(ctx, d.Digest, err)
	}
	return &object{body, func(err error) error { return b.trouble(ctx, d.Digest, err) }}, nil
}

// object is a blob on its way.
type object struct {
	io.ReadCloser
	trouble func(error) error
}

func (o *object) Read(p []byte) (int, error) {
	n, err := o.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = o.trouble(err)
	}
	return n, err
}

// Missing implements [blob.Sink]. An object of another size is missing: it is none of ours, and Put replaces it.
func (b *Bucket) Missing(ctx context.Context, ds ...oci.Descriptor) ([]oci.Descriptor, error) {
	return blob.MissingOf(ctx, 16, ds, b.has)
}

func (b *Bucket) has(ctx context.Context, d oci.Descriptor) (bool, error) {
	if _, err := oci.ParseDigest(string(d.Digest)); err != nil {
		return false, b.trouble(ctx, d.Digest, err)
	}
	info, err := b.core.StatObject(ctx, b.name, key(d.Digest), minio.StatObjectOptions{})
	if err == nil {
		return info.Size == d.Size, nil
	}
	if err = b.trouble(ctx, d.Digest, err); errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	return false, err
}

// Put implements [blob.Sink].
func (b *Bucket) Put(ctx context.Context, d oci.Descriptor, src blob.Source) error {
	if there, err := b.has(ctx, d); there || err != nil {
		return err
	}
	r, err := blob.Verify("source", src).Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	read := &remembering{r: r, left: d.Size}
	// The server compares a checksum of each part; hashing once more for the signature would be the third time.
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableContentSha256: true}
	if _, err = b.core.Client.PutObject(ctx, b.name, key(d.Digest), read, d.Size, o); err != nil {
		return b.putTrouble(ctx, d.Digest, err, read)
	}
	return nil
}

// putTrouble tells what is wrong with the bytes from what is wrong with the bucket.
func (b *Bucket) putTrouble(ctx context.Context, digest oci.Digest, err error, read *remembering) error {
	if read.err != nil {
		return fmt.Errorf("s3 bucket %s: put %s: %w", b.name, digest, read.err)
	}
	return b.trouble(ctx, digest, err)
}

// remembering knows why reading ended too early: the library's error says less. It looks behind the last byte, which the library does not.
type remembering struct {
	r    io.Reader
	left int64
	err  error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if r.left -= int64(n); err == nil && n > 0 && r.left == 0 {
		_, err = r.r.Read(make([]byte, 1))
	}
	if err != nil && err != io.EOF {
		r.err = err
		n = 0 // or the whole of a blob that is wrong would be there
	}
	return n, err
}

// Delete removes a blob. Its error wraps [blob.ErrNotFound] when it is not there.
func (b *Bucket) Delete(ctx context.Context, digest oci.Digest) error {
	if _, err := oci.ParseDigest(string(digest)); err != nil {
		return b.trouble(ctx, digest, err)
	}
	if _, err := b.core.StatObject(ctx, b.name, key(digest), minio.StatObjectOptions{}); err != nil {
		return b.trouble(ctx, digest, err)
	}
	if err := b.core.RemoveObject(ctx, b.name, key(digest), minio.RemoveObjectOptions{}); err != nil {
		return b.trouble(ctx, digest, err)
	}
	return nil
}

// Error is what the server of a bucket said, or what kept us from hearing it.
type Error struct {
	Bucket string
	Digest oci.Digest // of the blob that it is about, if it is about one
	// Status is that of the answer; 0 when there was none.
	Status int
	// Code is the server's: NoSuchKey, AccessDenied.
	Code  string
	cause error
}

func (b *Bucket) trouble(ctx context.Context, digest oci.Digest, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := &Error{Bucket: b.name, Digest: digest, cause: err}
	var said minio.ErrorResponse
	if errors.As(err, &said) {
		e.Status, e.Code = said.StatusCode, said.Code
	}
	return e
}

// Error implements error.
func (e *Error) Error() string {
	if e.Digest == "" {
		return fmt.Sprintf("s3 bucket %s: %v", e.Bucket, e.cause)
	}
	return fmt.Sprintf("s3 bucket %s: blob %s: %v", e.Bucket, e.Digest, e.cause)
}

// Unwrap returns what the library says.
func (e *Error) Unwrap() error { return e.cause }

// Is makes an answer that means it a [blob.ErrNotFound]. A bucket that is gone is trouble.
func (e *Error) Is(target error) bool { return target == blob.ErrNotFound && e.Code == minio.NoSuchKey }

// Transient implements what [blob.IsTransient] asks.
func (e *Error) Transient() bool {
	if e.Status == 0 {
		return blob.IsTransient(e.cause)
	}
	return e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}
