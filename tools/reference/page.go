package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// page is a page as it grows. Its first error stays.
type page struct {
	strings.Builder
	allowed values
	err     error
}

func (p *page) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

func (p *page) paragraph(text string) {
	if text = strings.TrimSpace(text); text != "" {
		p.printf("\n%s\n", text)
	}
}

// symbols are the names that a file has, in the order of its page.
func (m module) symbols() []string {
	var names []string
	for _, r := range m.Rules {
		names = append(names, r.Name)
	}
	for _, r := range m.Repositories {
		names = append(names, r.Name)
	}
	for _, e := range m.Extensions {
		names = append(names, e.Name)
	}
	for _, f := range m.Functions {
		names = append(names, f.Name)
	}
	for _, p := range m.Providers {
		names = append(names, p.Name)
	}
	return names
}

func (m module) links(file string) []string {
	var links []string
	for _, name := range m.symbols() {
		links = append(links, fmt.Sprintf("[`%s`](%s.md#%s)", name, file, strings.ToLower(name)))
	}
	if len(links) == 0 {
		first, _, _ := strings.Cut(m.Doc, "\n")
		return []string{first}
	}
	return links
}

func (p *page) module(file string, m module) {
	p.printf("# %s.bzl\n", file)
	p.paragraph(m.Doc)
	if names := m.symbols(); len(names) > 0 {
		p.printf("\n```starlark\nload(\"@rules_img//img:%s.bzl\", \"%s\")\n```\n", file, strings.Join(names, `", "`))
	}
	for _, r := range m.Rules {
		p.heading("rule", r.Name, r.Doc)
		if len(r.Provides.Names) > 0 {
			p.printf("\nProvides %s.\n", providers([]names{r.Provides}))
		}
		p.attributes(r.Origin.File, r.Attributes)
	}
	for _, r := range m.Repositories {
		p.heading("repository rule", r.Name, r.Doc)
		p.attributes(r.Origin.File, r.Attributes)
	}
	for _, e := range m.Extensions {
		p.heading("module extension", e.Name, e.Doc)
		for _, t := range e.Tags {
			p.printf("\n### %s.%s\n", e.Name, t.Name)
			p.paragraph(t.Doc)
			p.attributes(e.Origin.File, t.Attributes)
		}
	}
	for _, f := range m.Functions {
		p.heading("function", f.Name, f.Doc)
		p.parameters(f)
	}
	for _, r := range m.Providers {
		p.heading("provider", r.Name, r.Doc)
		p.fields(r)
	}
}

func (p *page) heading(kind, name, doc string) {
	p.printf("\n## %s\n", name)
	if strings.TrimSpace(doc) == "" && p.err == nil {
		p.err = fmt.Errorf("%s has no documentation", name)
	}
	p.printf("\n*%s*\n", kind)
	p.paragraph(doc)
}

// types are the names of AttributeType.
var types = map[int]string{
	1: "name", 2: "int", 3: "label", 4: "string", 5: "list of strings", 6: "list of ints", 7: "list of labels", 8: "bool",
	9: "dict, label → string", 10: "dict, string → string", 11: "dict, string → list of strings", 14: "dict, string → label",
}

func (p *page) attributes(file string, all []attribute) {
	p.printf("\n| attribute | type | default | |\n|---|---|---|---|\n")
	for _, a := range all {
		if a.Name == "repo_mapping" { // Bazel's own, of every repository rule
			continue
		}
		if a.Doc == "" && p.err == nil {
			p.err = fmt.Errorf("the attribute %s has no documentation", a.Name)
		}
		kind := types[a.Type]
		if of := providers(a.Providers); of != "" {
			kind += " of " + of
		}
		doc := a.Doc
		if values := p.allowed.of(file, a.Name); len(values) > 0 {
			doc = "One of `" + strings.Join(values, "`, `") + "`. " + doc
		}
		p.row(a.Name, kind, defaultOf(a.Mandatory, a.Default), doc)
	}
}

func (p *page) parameters(f function) {
	if len(f.Parameters) > 0 {
		p.printf("\n| parameter | type | default | |\n|---|---|---|---|\n")
	}
	for _, a := range f.Parameters {
		kind, doc := typed(a.Doc)
		p.row(a.Name, kind, defaultOf(a.Mandatory, a.Default), doc)
	}
	if f.Returns.Doc != "" {
		p.printf("\nReturns: %s\n", f.Returns.Doc)
	}
}

func (p *page) fields(r provider) {
	p.printf("\n| field | type | |\n|---|---|---|\n")
	for _, f := range r.Fields {
		kind, doc := typed(f.Doc)
		p.row(f.Name, kind, doc)
	}
}

func (p *page) row(name string, cells ...string) {
	p.printf("| `%s`", name)
	for _, cell := range cells {
		p.printf(" | %s", strings.Join(strings.Fields(strings.ReplaceAll(cell, "|", `\|`)), " "))
	}
	p.printf(" |\n")
}

func defaultOf(mandatory bool, value string) string {
	if mandatory {
		return "must be set"
	}
	return "`" + value + "`"
}

var typeFirst = regexp.MustCompile(`(?s)^\(([^)]*)\) (.*)$`)

// typed takes the type off a text that begins with it, in parentheses.
func typed(doc string) (kind, rest string) {
	if m := typeFirst.FindStringSubmatch(doc); m != nil {
		return m[1], m[2]
	}
	return "", doc
}

// providers names what a target must provide, with a link to those that are public.
func providers(groups []names) string {
	var out []string
	for _, g := range groups {
		for i, name := range g.Names {
			g.Names[i] = "`" + name + "`"
			if slices.Contains(public, name) {
				g.Names[i] = fmt.Sprintf("[`%s`](providers.md#%s)", name, strings.ToLower(name))
			}
		}
		out = append(out, strings.Join(g.Names, " and "))
	}
	return strings.Join(out, " or ")
}

// public are the providers of img/providers.bzl, to which pages link.
var public = []string{"LayerInfo", "ImageManifestInfo", "ImageIndexInfo", "PullInfo", "DeployInfo"}
