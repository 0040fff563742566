package template

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
)

// lookUpFields rewrites every .A.B into a call of lookup, or of optional in the conditions of {{if}} and {{with}}: text/template
// has one policy for missing keys, and here there are two.
func lookUpFields(node parse.Node) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			lookUpFields(child)
		}
	case *parse.ActionNode:
		rewritePipe(n.Pipe, "lookup")
	case *parse.IfNode:
		rewriteBranch(&n.BranchNode, "optional")
	case *parse.WithNode:
		rewriteBranch(&n.BranchNode, "optional")
	case *parse.RangeNode:
		rewriteBranch(&n.BranchNode, "lookup")
	case *parse.TemplateNode:
		rewritePipe(n.Pipe, "lookup")
	}
}

func rewriteBranch(n *parse.BranchNode, function string) {
	rewritePipe(n.Pipe, function)
	lookUpFields(n.List)
	lookUpFields(n.ElseList)
}

func rewritePipe(pipe *parse.PipeNode, function string) {
	if pipe == nil {
		return
	}
	for _, cmd := range pipe.Cmds {
		// A call with arguments is of a function; .A with arguments would be a method, and there are none.
		for i, arg := range cmd.Args {
			cmd.Args[i] = rewriteArg(arg, function)
		}
	}
}

func rewriteArg(arg parse.Node, function string) parse.Node {
	switch n := arg.(type) {
	case *parse.FieldNode:
		return call(n, function, &parse.DotNode{NodeType: parse.NodeDot, Pos: n.Pos}, n.Ident)
	case *parse.VariableNode:
		if len(n.Ident) > 1 {
			variable := &parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: n.Ident[:1]}
			return call(n, function, variable, n.Ident[1:])
		}
	case *parse.ChainNode:
		rewritten := rewriteArg(n.Node, function)
		return call(n, function, rewritten, n.Field)
	case *parse.PipeNode:
		rewritePipe(n, function)
	}
	return arg
}

// call makes the node (FUNCTION of "key" …).
func call(at parse.Node, function string, of parse.Node, keys []string) parse.Node {
	pos := at.Position()
	cmd := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: []parse.Node{parse.NewIdentifier(function).SetPos(pos), of}}
	for _, key := range keys {
		cmd.Args = append(cmd.Args, &parse.StringNode{NodeType: parse.NodeString, Pos: pos, Quoted: strconv.Quote(key), Text: key})
	}
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Cmds: []*parse.CommandNode{cmd}}
}

// lookup follows keys into nested maps. A key that is not there is an error.
func lookup(of any, keys ...string) (any, error) {
	for i, key := range keys {
		m, ok := of.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s has no keys, since it is %q", strings.Join(keys[:i], "."), fmt.Sprint(of))
		}
		value, ok := m[key]
		if !ok {
			return nil, &missingKeyError{path: keys[:i+1], have: slices.Sorted(maps.Keys(m)), top: i == 0}
		}
		of = value
	}
	return of, nil
}

// optional is lookup where what is not there is nil, which is false.
func optional(of any, keys ...string) any {
	value, err := lookup(of, keys...)
	if err != nil {
		return nil
	}
	return value
}
