// Package kubernetes reads from the attributes of a resource which rollout its pod
// belongs to. Telemetry that names no version still shows a new one: by the tag or
// the digest of the image, and by the ReplicaSet, of which Kubernetes makes a new
// one for each change of the pod's template.
package kubernetes

import (
	"strings"

	"github.com/deployloop/deployloop/internal/cicd"
	"github.com/deployloop/deployloop/internal/event"
)

// moving are tags that stand for another image from one day to the next.
var moving = map[string]bool{
	"latest": true, "main": true, "master": true, "trunk": true, "stable": true, "edge": true, "nightly": true, "dev": true,
	"develop": true, "test": true, "staging": true, "prod": true, "production": true, "release": true, "current": true,
}

// Version names what the pod runs, as 1.42.0+rs.7d9f8b6c5d: the image's tag, else
// its digest, and the ReplicaSet's hash, as far as they are known; "" when nothing
// is. text gives an attribute, of a list its first entry, and "" when there is none.
func Version(text func(name string) string) string {
	return event.JoinRollout(image(text), rollout(text))
}

func image(text func(string) string) string {
	tag := cicd.FirstText(text(event.AttrImageTags), text(event.AttrImageTag))
	if i := strings.LastIndexByte(tag, ':'); i >= 0 { // some write the whole image
		tag = tag[i+1:]
	}
	if isTag(tag) && !moving[strings.ToLower(tag)] {
		return tag
	}
	for _, name := range []string{event.AttrImageRepoDigests, event.AttrImageID} {
		if _, digest, found := strings.Cut(text(name), "sha256:"); found && len(digest) >= 12 && strings.Trim(digest[:12], "0123456789abcdef") == "" {
			return "sha256:" + digest[:12]
		}
	}
	return ""
}

// rollout is the hash of the pod's template, or of its revision of a StatefulSet or
// DaemonSet.
func rollout(text func(string) string) string {
	for _, label := range []string{"pod-template-hash", "controller-revision-hash"} {
		hash := cicd.FirstText(text(event.AttrPodLabel+label), text(event.AttrPodLabels+label))
		if hash = hash[strings.LastIndexByte(hash, '-')+1:]; isHash(hash) { // a StatefulSet's has its name in front
			return hash
		}
	}
	deployment := text(event.AttrK8sDeployment)
	if set := text(event.AttrReplicaSet); set != "" {
		hash, found := strings.CutPrefix(set, deployment+"-")
		if deployment == "" || !found {
			hash = set[strings.LastIndexByte(set, '-')+1:]
		}
		if isHash(hash) {
			return hash
		}
	}
	// The pod of a Deployment is named after its ReplicaSet.
	if pod, found := strings.CutPrefix(text(event.AttrPodName), deployment+"-"); found && deployment != "" {
		hash, random, _ := strings.Cut(pod, "-")
		if isHash(hash) && len(random) == 5 && isHash(random) {
			return hash
		}
	}
	return ""
}

// isTag holds for what a registry takes as a tag; anything else is none.
func isTag(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '.' && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == ""
}

// isHash holds for what Kubernetes encodes so that it makes no words; in a pod's
// name, too.
func isHash(s string) bool {
	return len(s) >= 4 && len(s) <= 10 && strings.Trim(s, "bcdfghjklmnpqrstvwxz2456789") == ""
}
