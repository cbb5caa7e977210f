package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// watch follows ConfigMaps by a shared informer.
func (c *client) watch(duration time.Duration) (fields, error) {
	var (
		mutex        sync.Mutex
		events, errs int
		lastError    error
		ctx, cancel  = context.WithTimeout(context.Background(), duration)
		factory      = informers.NewSharedInformerFactoryWithOptions(c.set, 0, informers.WithNamespace(c.namespace))
		configMaps   = factory.Core().V1().ConfigMaps().Informer()
		ticks        = time.NewTicker(time.Second)
		seen         = func(event string, object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			configMap, ok := object.(*corev1.ConfigMap)
			if !ok {
				return
			}
			mutex.Lock()
			events++
			mutex.Unlock()
			report(fields{"event": event, "name": configMap.Name, "resource_version": configMap.ResourceVersion})
		}
	)
	defer cancel()
	defer ticks.Stop()

	err := configMaps.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		// These are how watches end.
		if !errors.Is(err, io.EOF) && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			mutex.Lock()
			errs++
			lastError = err
			mutex.Unlock()
		}
		cache.DefaultWatchErrorHandler(ctx, r, err)
	})
	if err != nil {
		return nil, err
	}
	_, err = configMaps.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { seen("applied", object) },
		UpdateFunc: func(_, object any) { seen("applied", object) },
		DeleteFunc: func(object any) { seen("deleted", object) },
	})
	if err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())

	for second := 1; ; second++ {
		select {
		case <-ticks.C:
			mutex.Lock()
			report(fields{"second": second, "events": events, "errors": errs})
			mutex.Unlock()
			continue
		case <-ctx.Done():
		}
		break
	}
	factory.Shutdown()
	if events == 0 {
		return nil, fmt.Errorf("nothing was seen; %d errors, the last: %v", errs, lastError)
	}
	return fields{"events": events, "errors": errs, "last_error": text(lastError)}, nil
}
