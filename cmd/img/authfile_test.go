package main

import "testing"

func TestAPlanNamesTheFileOfCredentialsUnlessTheEnvironmentDoes(t *testing.T) {
	for _, row := range []struct{ environment, plan, want string }{
		{"", "", ""},
		{"", "/plan.json", "/plan.json"},
		{"/mine.json", "/plan.json", "/mine.json"},
	} {
		p := process{Getenv: func(key string) string {
			return map[string]string{"REGISTRY_AUTH_FILE": row.environment, "HOME": "/home/me"}[key]
		}}.withAuthFile(row.plan)
		if got := p.Getenv("REGISTRY_AUTH_FILE"); got != row.want || p.Getenv("HOME") != "/home/me" {
			t.Errorf("environment %q, plan %q: the file is %q: want %q", row.environment, row.plan, got, row.want)
		}
	}
}
