// The connector's pods: a StatefulSet, because the broker keeps each pod's queue under a stable client identifier.
import {
  containerSecurity,
  GROUP_MAY_READ,
  labelsOf,
  lostNodeTolerations,
  metaOf,
  podSecurity,
  selectorLabels,
  type KubernetesObject,
} from '../object.ts'
import { meshPodMeta } from '../kubeflow/index.ts'
import type { Connector } from '../options.ts'
import { adminPort, gracePeriodSeconds, PATHS, type ConfigValues } from './config-file.ts'

const APP = 'inferwire'
const USER_ID = 65_532
// Fraction of the memory limit for V8's heap. The rest is for request bodies, which are outside the heap, and for
// Node.js itself, which takes 40 MiB regardless of the limit.
const HEAP_SHARE = 0.75
const OUTSIDE_OF_HEAP_MI = 56
const TOKEN_SECONDS = 3600

/** Returns the StatefulSet. */
export function connectorStatefulSet(connector: Connector, config: ConfigValues): KubernetesObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: metaOf(APP, connector),
    spec: {
      serviceName: connector.name,
      replicas: connector.replicas,
      // Replicas do not depend on one another, so they need not start in order.
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: selectorLabels(APP, connector) },
      template: {
        metadata: podMeta(connector),
        spec: podSpec(connector, config),
      },
    },
  }
}

function podMeta(connector: Connector): Record<string, unknown> {
  const mesh = meshPodMeta(connector)
  return {
    labels: { ...labelsOf(APP, connector), ...mesh?.labels },
    ...(mesh?.annotations === undefined ? {} : { annotations: mesh.annotations }),
  }
}

function podSpec(connector: Connector, config: ConfigValues): Record<string, unknown> {
  const { name, imagePullSecrets } = connector
  return {
    serviceAccountName: name,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    tolerations: lostNodeTolerations(),
    ...(imagePullSecrets.length === 0
      ? {}
      : { imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret })) }),
    terminationGracePeriodSeconds: gracePeriodSeconds(config),
    securityContext: podSecurity(USER_ID),
    containers: [container(connector, adminPort(config))],
    volumes: [
      { name: 'config', configMap: { name: `${name}-config`, defaultMode: GROUP_MAY_READ } },
      { name: 'state', emptyDir: { sizeLimit: '64Mi' } },
      ...secretVolumes(connector),
    ],
  }
}

function container(connector: Connector, port: number): Record<string, unknown> {
  const { image, memoryMi, replicas } = connector
  return {
    name: APP,
    image,
    imagePullPolicy: 'IfNotPresent',
    args: ['connect', '--config', `${PATHS.config}/inferwire.yaml`],
    env: [
      // The pod name is part of the client identifier, so that each pod finds its queue after a restart.
      { name: 'INFERWIRE_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      // Differs from the client identifier of a connector without replicas, whose session has an unshared
      // subscription. If a replica resumed that session, each request would run twice.
      ...(replicas > 1
        ? [{ name: 'INFERWIRE_BROKER_CLIENT_ID', value: 'inferwire-shared-$(INFERWIRE_NAME)' }]
        : []),
      // This folder contains the journal of requests that may have crashed the process. The folder survives a
      // restart of the container, but not the replacement of the pod.
      { name: 'XDG_STATE_HOME', value: PATHS.state },
      { name: 'NODE_OPTIONS', value: heapOptions(memoryMi) },
    ],
    ports: [{ name: 'admin', containerPort: port, protocol: 'TCP' }],
    securityContext: containerSecurity(),
    resources: {
      requests: { cpu: '100m', memory: `${Math.min(128, memoryMi)}Mi` },
      limits: { memory: `${memoryMi}Mi` },
    },
    startupProbe: { ...probe('/livez'), periodSeconds: 1, failureThreshold: 60 },
    // Without a broker, the connector is not ready, but still live: a restart of the connector would not restore
    // the broker.
    livenessProbe: { ...probe('/livez'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 5, timeoutSeconds: 5 },
    volumeMounts: [
      { name: 'config', mountPath: PATHS.config, readOnly: true },
      { name: 'state', mountPath: PATHS.state },
      ...(connector.brokerSecret === '' ? [] : [{ name: 'broker', mountPath: PATHS.broker, readOnly: true }]),
      ...(connector.modelToken === undefined
        ? []
        : [{ name: 'token', mountPath: PATHS.token, readOnly: true }]),
      // Mounts whole folders, because files mounted with subPath are not updated when a Secret changes.
      ...connector.secretMounts.map(({ mountPath }, index) => {
        return { name: `secret-${index}`, mountPath, readOnly: true }
      }),
    ],
  }
}

function heapOptions(memoryMi: number): string {
  const oldMi = Math.min(Math.floor(memoryMi * HEAP_SHARE), memoryMi - OUTSIDE_OF_HEAP_MI)
  // The young generation needs memory in addition to the old space: up to three semi-spaces.
  const semiSpaceMi = memoryMi >= 512 ? 16 : memoryMi >= 256 ? 8 : memoryMi >= 128 ? 4 : 2
  return `--max-old-space-size=${oldMi} --max-semi-space-size=${semiSpaceMi}`
}

function probe(path: string): Record<string, unknown> {
  return { httpGet: { path, port: 'admin' } }
}

function secretVolumes({ brokerSecret, modelToken, secretMounts }: Connector): Record<string, unknown>[] {
  const volumes: Record<string, unknown>[] = []
  if (brokerSecret !== '') {
    volumes.push({ name: 'broker', secret: { secretName: brokerSecret, defaultMode: GROUP_MAY_READ } })
  }
  if (modelToken !== undefined) {
    const { audience } = modelToken
    const serviceAccountToken = {
      path: 'token',
      expirationSeconds: TOKEN_SECONDS,
      ...(audience === '' ? {} : { audience }),
    }
    volumes.push({
      name: 'token',
      projected: { defaultMode: GROUP_MAY_READ, sources: [{ serviceAccountToken }] },
    })
  }
  for (const [index, { secretName }] of secretMounts.entries()) {
    volumes.push({ name: `secret-${index}`, secret: { secretName, defaultMode: GROUP_MAY_READ } })
  }
  return volumes
}
