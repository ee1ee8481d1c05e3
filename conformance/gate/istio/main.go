// Renders AuthorizationPolicies as Envoy filters, with Istio's own code. Reads a JSON list of policies from standard
// input, and prints a JSON list of filters in the same order.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	securityv1 "istio.io/api/security/v1beta1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/security/authz/builder"
	"istio.io/istio/pilot/pkg/security/trustdomain"
)

type policy struct {
	Metadata struct{ Name, Namespace string }
	Spec     json.RawMessage
}

func main() {
	var policies []policy
	if err := json.NewDecoder(os.Stdin).Decode(&policies); err != nil {
		fail(err)
	}
	filters := []json.RawMessage{}
	for _, each := range policies {
		spec := &securityv1.AuthorizationPolicy{}
		if err := protojson.Unmarshal(each.Spec, spec); err != nil {
			fail(err)
		}
		allow := []model.AuthorizationPolicy{{Name: each.Metadata.Name, Namespace: each.Metadata.Namespace, Spec: spec}}
		bundle := trustdomain.NewBundle("cluster.local", nil)
		built := builder.New(bundle, nil, model.AuthorizationPoliciesResult{Allow: allow}, builder.Option{}).BuildHTTP()
		for _, filter := range built {
			text, err := protojson.Marshal(filter)
			if err != nil {
				fail(err)
			}
			filters = append(filters, text)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(filters); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
