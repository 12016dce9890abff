package kubernetes

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestVersion(t *testing.T) {
	for name, c := range map[string]struct {
		attributes map[string]string
		want       string
	}{
		"nothing":                       {nil, ""},
		"a tag":                         {map[string]string{"container.image.tags": "1.42.0"}, "1.42.0"},
		"a tag of before":               {map[string]string{"container.image.tag": "1.42.0"}, "1.42.0"},
		"a whole image as a tag":        {map[string]string{"container.image.tags": "registry.example:5000/shop/checkout:1.42.0"}, "1.42.0"},
		"a tag that is none":            {map[string]string{"container.image.tags": "1.42.0+rs.x"}, ""},
		"a moving tag alone":            {map[string]string{"container.image.tags": "latest"}, ""},
		"a moving tag and a digest":     {map[string]string{"container.image.tags": "main", "container.image.repo_digests": "shop/checkout@sha256:19c92d0a00d1b66d897bceaa7319bee0dd38a10a851c60bcec9474aa3f01e50f"}, "sha256:19c92d0a00d1"},
		"an image id":                   {map[string]string{"container.image.id": "docker-pullable://shop/checkout@sha256:19c92d0a00d1b66d897bceaa7319bee0"}, "sha256:19c92d0a00d1"},
		"an image id that is none":      {map[string]string{"container.image.id": "sha256:19"}, ""},
		"a tag and a ReplicaSet":        {map[string]string{"container.image.tags": "1.42.0", "k8s.replicaset.name": "checkout-7d9f8b6c5d", "k8s.deployment.name": "checkout"}, "1.42.0+rs.7d9f8b6c5d"},
		"a ReplicaSet":                  {map[string]string{"k8s.replicaset.name": "check-out-7d9f8b6c5d"}, "rs.7d9f8b6c5d"},
		"a pod of a Deployment":         {map[string]string{"k8s.pod.name": "check-out-7d9f8b6c5d-x2x4z", "k8s.deployment.name": "check-out"}, "rs.7d9f8b6c5d"},
		"a pod of who knows what":       {map[string]string{"k8s.pod.name": "checkout-7d9f8b6c5d-x2x4z"}, ""},
		"a pod of another Deployment":   {map[string]string{"k8s.pod.name": "checkout-7d9f8b6c5d-x2x4z", "k8s.deployment.name": "check"}, ""},
		"a label":                       {map[string]string{"k8s.pod.label.pod-template-hash": "7d9f8b6c5d", "container.image.tags": "v1.42.0"}, "v1.42.0+rs.7d9f8b6c5d"},
		"a label of before":             {map[string]string{"k8s.pod.labels.pod-template-hash": "7d9f8b6c5d"}, "rs.7d9f8b6c5d"},
		"a StatefulSet":                 {map[string]string{"k8s.pod.label.controller-revision-hash": "db-5c59b9dd9c", "k8s.pod.name": "db-0"}, "rs.5c59b9dd9c"},
		"a ReplicaSet of no Deployment": {map[string]string{"k8s.replicaset.name": "checkout"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, Version(func(name string) string { return c.attributes[name] }))
		})
	}
}

func FuzzVersion(f *testing.F) {
	f.Add("1.42.0", "shop/checkout@sha256:19c92d0a00d1b66d897bceaa7319bee0", "checkout-7d9f8b6c5d", "checkout", "checkout-7d9f8b6c5d-x2x4z")
	f.Add("main", "", "", "-", "--")
	f.Fuzz(func(t *testing.T, tag, id, set, deployment, pod string) {
		got := Version(func(name string) string {
			return map[string]string{
				"container.image.tags": tag, "container.image.id": id, "k8s.replicaset.name": set, "k8s.deployment.name": deployment, "k8s.pod.name": pod,
			}[name]
		})
		require.LessOrEqual(t, len(got), 128+len("+rs.")+10)
		require.True(t, utf8.ValidString(got))
		require.False(t, strings.HasPrefix(got, "+"))
	})
}
