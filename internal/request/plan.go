package request

import "io"

// Plan is the header of a request for a plan.
type Plan struct {
	Header
	// Name is the label of the target that will run.
	Name string `json:"name"`
	// Workspace is the directory of the main repository in runfiles.
	Workspace string `json:"workspace"`
	// Operation is "push".
	Operation  string   `json:"operation"`
	Registry   string   `json:"registry"`
	Repository string   `json:"repository"`
	Tags       []string `json:"tags,omitempty"`
	// Strategy is "eager".
	Strategy string `json:"strategy"`
}

// The types of a [PlanRecord].
const (
	// PlanRoot is the manifest or index to deploy.
	PlanRoot = "root"
	// PlanBlob is a manifest, index or config of the image, deployed as it is.
	PlanBlob = "blob"
	// PlanLayer is the metadata file of a layer; without Runfile the layer's bytes are not at hand.
	PlanLayer = "layer"
	// PlanBase says where blobs that are not at hand can be pulled from.
	PlanBase = "base"
	// PlanPlan is the file to write.
	PlanPlan = "plan"
)

// PlanRecord is one line of a plan request after its header.
type PlanRecord struct {
	Type string `json:"type"`
	From string `json:"from,omitempty"`
	// Runfile is where the blob will be, relative to the main repository's runfiles directory.
	Runfile    string   `json:"runfile,omitempty"`
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
