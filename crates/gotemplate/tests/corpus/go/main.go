// Renders the corpus' templates as Go does, for the tests to compare with.
//
// It reads cases.json, whose cases are names and templates, over data of their own or the data that most share, and
// prints what each renders to: a text, or that it fails. Functions that depend on anything but template and data are taken away, so that both sides lack them.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/Masterminds/sprig/v3"
)

// A case: what to render, with which data.
type testCase struct {
	Name     string          `json:"name"`
	Template string          `json:"template"`
	Data     json.RawMessage `json:"data"`
}

type corpus struct {
	Data  json.RawMessage `json:"data"`
	Cases []testCase      `json:"cases"`
}

// What came of a case. Output is missing where Go has an error.
type result struct {
	Name   string  `json:"name"`
	Output *string `json:"output,omitempty"`
	Error  bool    `json:"error,omitempty"`
}

type expected struct {
	Go      string   `json:"go"`
	Sprig   string   `json:"sprig"`
	Results []result `json:"results"`
}

// What templates have: Sprig's functions that depend on their arguments alone, and two names of our own.
func functions() template.FuncMap {
	all := sprig.TxtFuncMap()
	for _, name := range strings.Fields(`
		ago date date_in_zone date_modify dateInZone dateModify duration durationRound htmlDate htmlDateInZone
		must_date_modify mustDateModify mustToDate now toDate unixEpoch
		randAlpha randAlphaNum randAscii randBytes randInt randNumeric shuffle uuidv4
		bcrypt buildCustomCert decryptAES derivePassword encryptAES genCA genCAWithKey genPrivateKey genSelfSignedCert
		genSelfSignedCertWithKey genSignedCert genSignedCertWithKey htpasswd
		env expandenv getHostByName osBase osClean osDir osExt osIsAbs
		hello urlParse urlJoin semver semverCompare sha1sum adler32sum`) {
		delete(all, name)
	}
	all["base64enc"] = all["b64enc"]
	all["base64dec"] = all["b64dec"]
	return all
}

// render gives the text, or nil. A text that isn't UTF-8 is no text.
func render(c testCase, shared json.RawMessage) *string {
	// Each case gets data of its own, as templates can change it.
	source := c.Data
	if source == nil {
		source = shared
	}
	var data any
	if err := json.Unmarshal(source, &data); err != nil {
		fmt.Fprintln(os.Stderr, c.Name, err)
		os.Exit(1)
	}
	parsed, err := template.New(c.Name).Option("missingkey=error").Funcs(functions()).Parse(c.Template)
	if err != nil {
		return nil
	}
	var out strings.Builder
	if err := parsed.Execute(&out, data); err != nil {
		return nil
	}
	text := out.String()
	if !utf8.ValidString(text) {
		return nil
	}
	return &text
}

func sprigVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == "github.com/Masterminds/sprig/v3" {
			return dependency.Version
		}
	}
	return "unknown"
}

func main() {
	source, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var all corpus
	if err := json.Unmarshal(source, &all); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	expected := expected{Go: runtime.Version(), Sprig: sprigVersion()}
	for _, c := range all.Cases {
		text := render(c, all.Data)
		expected.Results = append(expected.Results, result{Name: c.Name, Output: text, Error: text == nil})
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(expected); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
