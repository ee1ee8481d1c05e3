// Checks the address in an object's status. A tenant may be able to forge a status, so the address must belong to the
// object: a Service of its own namespace whose name begins with the object's name, or the operator's gateway.
import type { Address, ObjectKey, Refusal } from './discovered-model.ts'
import { shown } from './untrusted-object.ts'
import type { DiscoveryRules } from './rules.ts'

// The ports of KServe's Services: 80 and 443, and the ports that the URL of a headless Service or of a workload has.
const PORTS: ReadonlySet<string> = new Set(['80', '443', '8000', '8080', '8443', '9000'])
const URL_FORM = /^(https?):\/\/([a-z0-9.-]{1,253})(?::([0-9]{1,5}))?(\/[A-Za-z0-9/._-]{0,253})?$/

type AddressRules = Pick<DiscoveryRules, 'clusterDomain' | 'gateway'>

/**
 * Checks the URL of a Service: `http(s)://{name}[-suffix].{namespace}.svc[.{clusterDomain}][:port]`. The connector
 * sends exactly this host, because Istio and Knative route by it.
 */
export function serviceAddress(key: ObjectKey, url: string, rules: AddressRules): Address | Refusal {
  const parts = partsOf(url)
  if (parts === undefined) return refusal(key, url, 'is not a plain http or https URL')
  const { host, port, path } = parts
  if (path !== '') return refusal(key, url, 'has a path')
  if (port !== undefined && !PORTS.has(port)) {
    return refusal(key, url, `has the port ${port}, not one of ${[...PORTS].join(', ')}`)
  }
  const label = serviceOf(key, host, rules.clusterDomain)
  if (label === undefined) {
    return refusal(
      key,
      url,
      `is not a Service of the ${key.kind} in its own namespace, such as "${key.name}-predictor.${key.namespace}.svc.${rules.clusterDomain}"`,
      ' If the cluster has another DNS domain, set discovery.clusterDomain.',
    )
  }
  return { url: withoutSlash(url), host: undefined }
}

/** Returns the name of the Service in a host of the object's namespace; undefined if it is not the object's own. */
export function serviceOf(
  { name, namespace }: ObjectKey,
  host: string,
  clusterDomain: string,
): string | undefined {
  const dot = host.indexOf('.')
  const label = host.slice(0, dot)
  const rest = host.slice(dot + 1)
  if (dot === -1 || (label !== name && !label.startsWith(`${name}-`))) return undefined
  return rest === `${namespace}.svc` || rest === `${namespace}.svc.${clusterDomain}` ? label : undefined
}

/** Returns the host of a URL that `serviceAddress` has accepted. */
export function hostOf(url: string): string {
  return partsOf(url)!.host
}

/**
 * Returns the address behind the operator's gateway: the gateway's URL, with the Host of the object's external URL. The
 * host must be `{name}.{namespace}.…`, `{name}-{namespace}.…` or `{name}-{component}-{namespace}.…` below the configured
 * domain; with KServe's `pathTemplate`, the domain itself, with a path that ends in `/{namespace}/{name}`.
 */
export function gatewayAddress(
  key: ObjectKey,
  url: string,
  gateway: NonNullable<DiscoveryRules['gateway']>,
): Address | Refusal {
  const parts = partsOf(url)
  if (parts === undefined) return refusal(key, url, 'is not a plain http or https URL')
  const { host, path } = parts
  const { name, namespace } = key
  const base = withoutSlash(gateway.url)
  if (path === '') {
    const suffix = `.${gateway.domain}`
    const front = host.endsWith(suffix) ? host.slice(0, -suffix.length) : ''
    if (isOwnFront(front, name, namespace)) return { url: base, host }
    return refusal(
      key,
      url,
      `is not a host of the ${key.kind} below "${gateway.domain}", such as "${name}-${namespace}${suffix}"`,
      ' Check discovery.gateway.domain.',
    )
  }
  const isOwnPath = path === `/${namespace}/${name}` || path.endsWith(`/${namespace}/${name}`)
  const isPlain = path.split('/').every((segment, index) => index === 0 || /^[A-Za-z0-9_-]+$/.test(segment))
  const isDomain = host === gateway.domain || host.endsWith(`.${gateway.domain}`)
  if (isOwnPath && isPlain && isDomain) return { url: base + path, host }
  return refusal(key, url, `is not a path of the ${key.kind} that ends in "/${namespace}/${name}"`)
}

function isOwnFront(front: string, name: string, namespace: string): boolean {
  const own = [name, ...['predictor', 'transformer'].map((component) => `${name}-${component}`)]
  return own.some((each) => front === `${each}.${namespace}` || front === `${each}-${namespace}`)
}

function partsOf(url: string): { host: string; port: string | undefined; path: string } | undefined {
  const [, , host, port, path = ''] = URL_FORM.exec(url) ?? []
  // For example, a label that begins with "xn--" may have the form of a host, but not be one.
  return host === undefined || !URL.canParse(url) ? undefined : { host, port, path: withoutSlash(path) }
}

function withoutSlash(text: string): string {
  return text.endsWith('/') ? text.slice(0, -1) : text
}

function refusal({ kind, namespace, name }: ObjectKey, url: string, what: string, remedy = ''): Refusal {
  return {
    refused: 'address',
    message: `The address "${shown(url)}" in the status of ${kind} "${namespace}/${name}" ${what}, so the connector does not connect to it.${remedy} Check who may write the status: kubectl auth can-i update inferenceservices/status -n ${namespace}.`,
  }
}
