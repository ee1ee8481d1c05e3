// The connector's pods: a StatefulSet, because the broker keeps each one's queue under its name.
import {
  containerSecurity,
  GROUP_MAY_READ,
  lostNodeTolerations,
  metaOf,
  podSecurity,
  selectorLabels,
  type KubernetesObject,
} from '../object.ts'
import type { Connector } from '../options.ts'
import { adminPort, gracePeriodSeconds, PATHS, type ConfigValues } from './config-file.ts'

const APP = 'inferwire'
const USER_ID = 65_532
// Of the limit, for V8's heap; the rest is for request bodies, which are not in it, and for Node.js itself, which takes
// 40 MiB whatever the limit.
const HEAP_SHARE = 0.75
const OUTSIDE_OF_HEAP_MI = 56
const TOKEN_SECONDS = 3600

/** StatefulSet. */
export function connectorStatefulSet(connector: Connector, config: ConfigValues): KubernetesObject {
  const labels = selectorLabels(APP, connector)
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: metaOf(APP, connector),
    spec: {
      serviceName: connector.name,
      replicas: connector.replicas,
      // They do not know one another.
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: podSpec(connector, config),
      },
    },
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
    args: ['connect', '--config', `${PATHS.config}/inferwire.yaml`],
    env: [
      // Part of the client identifier: inferwire-0 finds the queue of inferwire-0.
      { name: 'INFERWIRE_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      // The session of a lone connector has a subscription that is not shared: with it each request would run twice.
      ...(replicas > 1
        ? [{ name: 'INFERWIRE_BROKER_CLIENT_ID', value: 'inferwire-shared-$(INFERWIRE_NAME)' }]
        : []),
      // The journal of requests that may have ended the process: it outlives the container, not the pod.
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
    // Alive without a broker, ready with one: a restart would not bring the broker back.
    livenessProbe: { ...probe('/livez'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3 },
    readinessProbe: { ...probe('/readyz'), periodSeconds: 5, timeoutSeconds: 5 },
    volumeMounts: [
      { name: 'config', mountPath: PATHS.config, readOnly: true },
      { name: 'state', mountPath: PATHS.state },
      ...(connector.brokerSecret === '' ? [] : [{ name: 'broker', mountPath: PATHS.broker, readOnly: true }]),
      ...(connector.modelToken === undefined
        ? []
        : [{ name: 'token', mountPath: PATHS.token, readOnly: true }]),
    ],
  }
}

function heapOptions(memoryMi: number): string {
  const oldMi = Math.min(Math.floor(memoryMi * HEAP_SHARE), memoryMi - OUTSIDE_OF_HEAP_MI)
  // New objects take up to three of these beside it.
  const semiSpaceMi = memoryMi >= 512 ? 16 : memoryMi >= 256 ? 8 : memoryMi >= 128 ? 4 : 2
  return `--max-old-space-size=${oldMi} --max-semi-space-size=${semiSpaceMi}`
}

function probe(path: string): Record<string, unknown> {
  return { httpGet: { path, port: 'admin' } }
}

function secretVolumes({ brokerSecret, modelToken }: Connector): Record<string, unknown>[] {
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
  return volumes
}
