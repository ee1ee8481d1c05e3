// Reads the objects of KServe's charts, and adapts them to a manager that runs outside of the cluster.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KubeObject } from '../kube-api.ts'

/** URL of the manager's webhook server. The manager has no option for its address or its certificate's name. */
const WEBHOOKS_URL = 'https://127.0.0.1:9443'

/**
 * Which definitions of KServe's kinds are used: those that validate every field, which cost the API server six seconds
 * of CPU time, or those that accept any field. KServe has a chart for each.
 */
export type CrdSchemas = 'full' | 'minimal'

/** The objects in the order in which they can be created. */
export interface ChartObjects {
  /** Definitions of KServe's kinds. */
  readonly crds: readonly KubeObject[]
  /** What the manager needs: its ServiceAccount, RBAC, Services and the ConfigMap `inferenceservice-config`. */
  readonly first: readonly KubeObject[]
  /** Webhook configurations, which need a running manager. */
  readonly webhooks: readonly KubeObject[]
  /** Runtimes and storage containers, which the webhooks check. */
  readonly last: readonly KubeObject[]
}

// cert-manager's objects, and the Deployment of the manager.
const REPLACED = /^(?:Certificate|Issuer|Deployment)$/
const WEBHOOKS = /WebhookConfiguration$/
const LAST = /^Cluster(?:ServingRuntime|StorageContainer)$/

// By default, Kubernetes probes every ten seconds, so that a model would become ready up to ten seconds late.
const PROBE = { tcpSocket: { port: 8080 }, periodSeconds: 1 }

/** Reads the objects from the folder of scripts/kserve-controller.mjs. `certificate` is the webhook server's, in PEM. */
export function chartObjects(folder: string, schemas: CrdSchemas, certificate: string): ChartObjects {
  const objects = readObjects(folder, 'objects').filter(({ kind }) => !REPLACED.test(kind))
  const caBundle = Buffer.from(certificate).toString('base64')
  return {
    crds: readObjects(folder, schemas),
    first: objects.filter(({ kind }) => !WEBHOOKS.test(kind) && !LAST.test(kind)),
    webhooks: objects
      .filter(({ kind }) => WEBHOOKS.test(kind))
      .map((object) => ({
        ...object,
        webhooks: object.webhooks.map((webhook: KubeObject) => ({
          ...webhook,
          clientConfig: { url: `${WEBHOOKS_URL}${webhook.clientConfig.service.path}`, caBundle },
        })),
      })),
    last: objects.filter(({ kind }) => LAST.test(kind)).map(withFastProbe),
  }
}

/** Reads a list of objects from the folder of scripts/kserve-controller.mjs. */
export function readObjects(folder: string, name: CrdSchemas | 'objects' | 'knative'): KubeObject[] {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as KubeObject[]
}

/** Returns the path of the object's collection. */
export function collectionOf({ apiVersion, kind, metadata }: KubeObject): string {
  const version = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const isClusterWide = metadata.namespace === undefined
  return `${version}/${isClusterWide ? '' : `namespaces/${metadata.namespace}/`}${kind.toLowerCase()}s`
}

function withFastProbe(object: KubeObject): KubeObject {
  if (object.kind !== 'ClusterServingRuntime') return object
  const containers = object.spec.containers.map((container: KubeObject) =>
    container.name === 'kserve-container' ? { readinessProbe: PROBE, ...container } : container,
  )
  return { ...object, spec: { ...object.spec, containers } }
}
