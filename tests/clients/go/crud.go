package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// crud is a ConfigMap's life.
func (c *client) crud(ctx context.Context) (fields, error) {
	configMaps := c.set.CoreV1().ConfigMaps(c.namespace)
	first := map[string]string{"step": "create"}

	created, err := configMaps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "crud-", Labels: map[string]string{"made-by": "crud"}},
		Data:       first,
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create: %w", err)
	}
	if !strings.HasPrefix(created.Name, "crud-") || !maps.Equal(created.Data, first) {
		return nil, fmt.Errorf("create: %v", created)
	}
	report(fields{"step": "create"})

	got, err := configMaps.Get(ctx, created.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	if !equality.Semantic.DeepEqual(got, created) {
		return nil, fmt.Errorf("get: %v isn't what was created", got)
	}
	report(fields{"step": "get"})

	listed, err := configMaps.List(ctx, metav1.ListOptions{LabelSelector: "made-by=crud"})
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	if !slices.ContainsFunc(listed.Items, func(item corev1.ConfigMap) bool {
		return item.Name == created.Name && maps.Equal(item.Data, first)
	}) {
		return nil, fmt.Errorf("list: %s isn't in it", created.Name)
	}
	report(fields{"step": "list"})

	got.Data = map[string]string{"step": "update"}
	updated, err := configMaps.Update(ctx, got, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("update: %w", err)
	}
	if !maps.Equal(updated.Data, got.Data) || updated.ResourceVersion == created.ResourceVersion {
		return nil, fmt.Errorf("update: %v", updated)
	}
	report(fields{"step": "update"})

	patch := []byte(`{"data":{"patched":"yes"}}`)
	patched, err := configMaps.Patch(ctx, created.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, fmt.Errorf("patch: %w", err)
	}
	if !maps.Equal(patched.Data, map[string]string{"step": "update", "patched": "yes"}) {
		return nil, fmt.Errorf("patch: %v", patched)
	}
	report(fields{"step": "patch"})

	if err := configMaps.Delete(ctx, created.Name, metav1.DeleteOptions{}); err != nil {
		return nil, fmt.Errorf("delete: %w", err)
	}
	if _, err := configMaps.Get(ctx, created.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("delete: %s is still there: %v", created.Name, err)
	}
	report(fields{"step": "delete"})
	return fields{"steps": 6}, nil
}
