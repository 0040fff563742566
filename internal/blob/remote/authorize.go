package remote

import (
	"context"
	"net/http"
)

// Grant is what another HTTP client needs to read from a repository.
type Grant struct {
	// URL is where the repository is: manifests/DIGEST and blobs/DIGEST are below it.
	URL string
	// Authorization is the value of the header of that name; empty where the registry asks for none. It is a secret.
	Authorization string
}

// Authorize gets what another client, which can neither follow a registry's demand for a token nor ask a credential helper, needs to read
// from the repository.
func (r *Repository) Authorize(ctx context.Context) (Grant, error) {
	req := request{
		method: http.MethodGet,
		url:    r.host.url("").JoinPath("/"),
		access: access{repository: r.name},
		what:   "permission to pull",
	}
	// A registry without this page has said all the same that it wants nothing.
	resp, err := r.host.do(ctx, r.host.pulls, req, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return Grant{}, err
	}
	drain(resp)
	header, err := r.host.auth.authorization(ctx, req.access)
	if err != nil {
		return Grant{}, r.host.trouble(ctx, req, err)
	}
	return Grant{URL: r.host.url(r.name).String(), Authorization: header}, nil
}
