package request

import "io"

// Plan is the header of a request for a plan: of one operation, or of the plans of others.
type Plan struct {
	Header
	Templates
	// Name is the label of the target that will run.
	Name string `json:"name"`
	// Workspace is the directory of the main repository in runfiles.
	Workspace string `json:"workspace"`

	// Operation is "push" or "load"; empty when plans are merged.
	Operation string `json:"operation,omitempty"`
	// Registry, Repository and Tags may be templates.
	Registry   string   `json:"registry,omitempty"`
	Repository string   `json:"repository,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	// Daemon is who loads.
	Daemon string `json:"daemon,omitempty"`
	// Strategy is where the bytes of layers come from.
	Strategy string `json:"strategy,omitempty"`

	// FurtherDigest names a digest, beside SHA-256, by which caches know blobs.
	FurtherDigest string `json:"further_digest,omitempty"`
	// AuthFile is what the setting docker_config_path says.
	AuthFile string `json:"auth_file,omitempty"`
	// RemoteCache, DiskCache and CredentialHelper are what the settings of these names say.
	RemoteCache      string `json:"remote_cache,omitempty"`
	DiskCache        string `json:"disk_cache,omitempty"`
	CredentialHelper string `json:"credential_helper,omitempty"`

	// PushStrategy and LoadStrategy replace those of the plans that are merged, unless they are empty.
	PushStrategy string `json:"push_strategy,omitempty"`
	LoadStrategy string `json:"load_strategy,omitempty"`
}

// The types of a [PlanRecord].
const (
	// PlanManifest is a manifest or index of the image, and PlanConfig a config; each is deployed as it is.
	PlanManifest = "manifest"
	PlanConfig   = "config"
	// PlanLayer is the metadata file of a layer; without Runfile the layer's bytes are not at hand.
	PlanLayer = "layer"
	// PlanBase says where blobs that are not at hand can be pulled from.
	PlanBase = "base"
	// PlanMerge is a plan whose operations become part of this one.
	PlanMerge = "merge"
	// PlanPlan is the file to write.
	PlanPlan = "plan"
)

// PlanRecord is one line of a plan request after its header.
type PlanRecord struct {
	Type string `json:"type"`
	From string `json:"from,omitempty"`
	// Runfile is where the blob will be, relative to the main repository's runfiles directory.
	Runfile string `json:"runfile,omitempty"`
	// Output is the path of a layer's blob below the execution root.
	Output     string   `json:"output,omitempty"`
	Registries []string `json:"registries,omitempty"`
	Repository string   `json:"repository,omitempty"`
	Digest     string   `json:"digest,omitempty"`
}

// ReadPlan decodes a plan request.
func ReadPlan(r io.Reader, each func(PlanRecord) error) (Plan, error) {
	var h Plan
	err := Read(r, Header{Kind: "plan", Version: 1}, &h, each)
	return h, err
}
