package main

import (
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of Bazel's stardoc_output.proto, with the fields that pages show. A tag is the number of a field.
type (
	module struct {
		Rules        []rule       `pb:"1"`
		Providers    []provider   `pb:"2"`
		Functions    []function   `pb:"3"`
		Doc          string       `pb:"5"`
		Extensions   []extension  `pb:"7"`
		Repositories []repository `pb:"8"`
	}
	rule struct {
		Name       string      `pb:"1"`
		Doc        string      `pb:"2"`
		Attributes []attribute `pb:"3"`
		Origin     origin      `pb:"4"`
		Provides   names       `pb:"5"`
	}
	repository struct {
		Name       string      `pb:"1"`
		Doc        string      `pb:"2"`
		Attributes []attribute `pb:"3"`
		Origin     origin      `pb:"5"`
	}
	attribute struct {
		Name      string  `pb:"1"`
		Doc       string  `pb:"2"`
		Type      int     `pb:"3"`
		Mandatory bool    `pb:"4"`
		Providers []names `pb:"5"` // one of these groups
		Default   string  `pb:"6"`
	}
	names struct {
		Names []string `pb:"1"`
	}
	provider struct {
		Name   string  `pb:"1"`
		Doc    string  `pb:"2"`
		Fields []field `pb:"3"`
	}
	field struct {
		Name string `pb:"1"`
		Doc  string `pb:"2"`
	}
	function struct {
		Name       string      `pb:"1"`
		Parameters []parameter `pb:"2"`
		Doc        string      `pb:"3"`
		Returns    returned    `pb:"4"`
	}
	parameter struct {
		Name      string `pb:"1"`
		Doc       string `pb:"2"`
		Default   string `pb:"3"`
		Mandatory bool   `pb:"4"`
	}
	returned struct {
		Doc string `pb:"1"`
	}
	extension struct {
		Name   string     `pb:"1"`
		Doc    string     `pb:"2"`
		Tags   []tagClass `pb:"3"`
		Origin origin     `pb:"4"`
	}
	tagClass struct {
		Name       string      `pb:"1"`
		Doc        string      `pb:"2"`
		Attributes []attribute `pb:"3"`
	}
	origin struct {
		Name string `pb:"1"`
		File string `pb:"2"`
	}
)

// decode reads a message into a struct whose fields have their numbers in tags; other fields are skipped.
func decode(b []byte, into reflect.Value) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(number, kind, b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if f := numbered(into, number); f.IsValid() {
			if err := set(f, kind, b[:size]); err != nil {
				return fmt.Errorf("field %d of a %s: %w", number, into.Type().Name(), err)
			}
		}
		b = b[size:]
	}
	return nil
}

func numbered(of reflect.Value, number protowire.Number) reflect.Value {
	for i := range of.NumField() {
		if of.Type().Field(i).Tag.Get("pb") == strconv.Itoa(int(number)) {
			return of.Field(i)
		}
	}
	return reflect.Value{}
}

func set(f reflect.Value, kind protowire.Type, b []byte) error {
	if f.Kind() == reflect.Slice {
		one := reflect.New(f.Type().Elem()).Elem()
		err := set(one, kind, b)
		f.Set(reflect.Append(f, one))
		return err
	}
	if kind == protowire.VarintType {
		n, _ := protowire.ConsumeVarint(b)
		if f.Kind() == reflect.Bool {
			f.SetBool(n != 0)
		} else {
			f.SetInt(int64(n))
		}
		return nil
	}
	content, n := protowire.ConsumeBytes(b)
	if n < 0 {
		return protowire.ParseError(n)
	}
	if f.Kind() == reflect.Struct {
		return decode(content, f)
	}
	f.SetString(onceEncoded(string(content)))
	return nil
}

// onceEncoded undoes the second encoding in UTF-8 that Bazel 7 gives to what it has read: its strings have a character for each byte.
func onceEncoded(s string) string {
	var b []byte
	for _, r := range s {
		if r > 0xff {
			return s
		}
		b = append(b, byte(r))
	}
	if !utf8.Valid(b) {
		return s
	}
	return string(b)
}
