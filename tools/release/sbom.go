package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdxlib"
)

func (r *release) sbomName() string { return r.name() + ".spdx.json" }

// writeSBOM writes what each program is made of, as SPDX 2.3: the modules that Go has put down in the programs themselves.
func (r *release) writeSBOM() error {
	doc := &spdx.Document{
		SPDXVersion:       spdx.Version,
		DataLicense:       spdx.DataLicense,
		SPDXIdentifier:    "DOCUMENT",
		DocumentName:      r.name(),
		DocumentNamespace: r.expanded(r.sbomName()),
		CreationInfo: &spdx.CreationInfo{
			Created:  r.time.Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Organization", Creator: "bazel-contrib"}, {CreatorType: "Tool", Creator: "rules_img/tools/release"}},
		},
	}
	modules := map[common.ElementID]*spdx.Package{}
	for _, p := range r.platforms {
		for _, program := range r.programs {
			if err := r.describe(doc, modules, p.file(program)); err != nil {
				return err
			}
		}
	}
	for _, m := range modules {
		doc.Packages = append(doc.Packages, m)
	}
	slices.SortFunc(doc.Packages, func(a, b *spdx.Package) int {
		return strings.Compare(string(a.PackageSPDXIdentifier), string(b.PackageSPDXIdentifier))
	})
	var b bytes.Buffer
	if err := spdxjson.Write(doc, &b, spdxjson.Indent("  "), spdxjson.EscapeHTML(false)); err != nil {
		return err
	}
	if err := validate(b.Bytes()); err != nil {
		return fmt.Errorf("%s: %w", r.sbomName(), err)
	}
	return r.write(r.sbomName(), b.Bytes())
}

// validate reads a document back, and follows its references.
func validate(b []byte) error {
	doc, err := spdxjson.Read(bytes.NewReader(b))
	if err != nil {
		return err
	}
	return spdxlib.ValidateDocument(doc)
}

// describe adds a program, and the modules that it is linked from.
func (r *release) describe(doc *spdx.Document, modules map[common.ElementID]*spdx.Package, file string) error {
	path := filepath.Join(r.out, file)
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	sum, err := digest(path)
	if err != nil {
		return err
	}
	program := &spdx.Package{
		PackageName:             file,
		PackageSPDXIdentifier:   id("Program", file),
		PackageVersion:          r.version,
		PackageFileName:         file,
		PackageDownloadLocation: r.expanded(file),
		PackageChecksums:        []common.Checksum{{Algorithm: common.SHA256, Value: hex.EncodeToString(sum)}},
		PackageLicenseDeclared:  "Apache-2.0",
		PackageLicenseConcluded: "NOASSERTION",
		PackageCopyrightText:    "NOASSERTION",
		PrimaryPackagePurpose:   "APPLICATION",
		PackageSourceInfo:       "built by " + info.GoVersion + " from " + info.Path,
	}
	doc.Packages = append(doc.Packages, program)
	doc.Relationships = append(doc.Relationships, relation("DOCUMENT", common.TypeRelationshipDescribe, program.PackageSPDXIdentifier))
	deps := append(info.Deps, &debug.Module{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")})
	for _, dep := range deps {
		m := module(dep)
		modules[m.PackageSPDXIdentifier] = m
		doc.Relationships = append(doc.Relationships, relation(program.PackageSPDXIdentifier, common.TypeRelationshipDependsOn, m.PackageSPDXIdentifier))
	}
	return nil
}

// module describes a module that is linked into a program.
func module(m *debug.Module) *spdx.Package {
	if m.Replace != nil {
		m = m.Replace
	}
	p := &spdx.Package{
		PackageName:             m.Path,
		PackageSPDXIdentifier:   id("Module", m.Path+"-"+m.Version),
		PackageVersion:          m.Version,
		PackageDownloadLocation: "NOASSERTION",
		PackageLicenseDeclared:  "NOASSERTION",
		PackageLicenseConcluded: "NOASSERTION",
		PackageCopyrightText:    "NOASSERTION",
		PrimaryPackagePurpose:   "LIBRARY",
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager,
			RefType:  common.TypePackageManagerPURL,
			Locator:  "pkg:golang/" + strings.ToLower(m.Path) + "@" + strings.ReplaceAll(m.Version, "+", "%2B"),
		}},
	}
	if m.Sum != "" {
		p.PackageSourceInfo = "checksum of go.sum: " + m.Sum
	}
	return p
}

var notOfIDs = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func id(kind, name string) common.ElementID {
	return common.ElementID(kind + "-" + notOfIDs.ReplaceAllString(name, "-"))
}

func relation(from common.ElementID, kind string, to common.ElementID) *spdx.Relationship {
	return &spdx.Relationship{RefA: common.MakeDocElementID("", string(from)), Relationship: kind, RefB: common.MakeDocElementID("", string(to))}
}
