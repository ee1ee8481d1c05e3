// Composes a container's environment from its variables, ConfigMaps, Secrets and Services.
import { KubeApiError, type KubeApi, type KubeObject } from '../kube-api.ts'
import { podField } from './pod-field.ts'
import { NotThereYet } from './volumes.ts'

/** Returns the environment that the kubelet would compose. @throws NotThereYet */
export async function containerEnvironment(
  api: KubeApi,
  pod: KubeObject,
  container: KubeObject,
): Promise<Record<string, string>> {
  const { namespace } = pod.metadata
  const environment: Record<string, string> = { HOSTNAME: pod.metadata.name }
  Object.assign(environment, await serviceVariables(api, 'default', 'kubernetes'))
  if (pod.spec.enableServiceLinks !== false) {
    Object.assign(environment, await serviceVariables(api, namespace))
  }
  for (const source of container.envFrom ?? []) {
    const kind = source.configMapRef === undefined ? 'secret' : 'configMap'
    const reference = source.configMapRef ?? source.secretRef
    const data = await values(api, namespace, kind, reference.name, reference.optional)
    for (const [key, value] of Object.entries(data)) environment[`${source.prefix ?? ''}${key}`] = value
  }
  for (const variable of container.env ?? []) {
    const value = await valueOf(api, pod, container, variable, environment)
    if (value !== undefined) environment[variable.name] = value
  }
  return environment
}

/** Replaces `$(NAME)` with the variable's value, and `$$` with a dollar sign. */
export function expand(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(\$|\(([\w.-]+)\))/g, (whole, what: string, name?: string) =>
    what === '$' ? '$' : (environment[name!] ?? whole),
  )
}

async function valueOf(
  api: KubeApi,
  pod: KubeObject,
  container: KubeObject,
  variable: KubeObject,
  environment: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const from = variable.valueFrom
  if (from === undefined) return expand(variable.value ?? '', environment)
  if (from.fieldRef !== undefined) return podField(pod, from.fieldRef.fieldPath)
  if (from.resourceFieldRef !== undefined) return resourceField(container, from.resourceFieldRef)
  const kind = from.configMapKeyRef === undefined ? 'secret' : 'configMap'
  const { name, key, optional } = from.configMapKeyRef ?? from.secretKeyRef
  const value = (await values(api, pod.metadata.namespace, kind, name, optional))[key]
  if (value === undefined && optional !== true) throw new NotThereYet(`couldn't find key ${key} in ${name}`)
  return value
}

async function values(
  api: KubeApi,
  namespace: string,
  kind: 'configMap' | 'secret',
  name: string,
  isOptional = false,
): Promise<Record<string, string>> {
  const path = `/api/v1/namespaces/${namespace}/${kind === 'secret' ? 'secrets' : 'configmaps'}/${name}`
  try {
    const { data = {} } = await api.get(path)
    if (kind === 'configMap') return data
    return Object.fromEntries(
      Object.entries(data).map(([key, text]) => [key, Buffer.from(text as string, 'base64').toString()]),
    )
  } catch (error) {
    if (!(error instanceof KubeApiError) || error.status !== 404) throw error
    if (isOptional) return {}
    throw new NotThereYet(`"${path}" not found`)
  }
}

async function serviceVariables(
  api: KubeApi,
  namespace: string,
  only?: string,
): Promise<Record<string, string>> {
  const variables: Record<string, string> = {}
  const { items } = await api.get(`/api/v1/namespaces/${namespace}/services`)
  for (const { metadata, spec } of items as KubeObject[]) {
    if (spec.clusterIP === undefined || spec.clusterIP === 'None') continue
    if (only !== undefined && metadata.name !== only) continue
    const name = metadata.name.toUpperCase().replaceAll('-', '_')
    const [first] = spec.ports
    variables[`${name}_SERVICE_HOST`] = spec.clusterIP
    variables[`${name}_SERVICE_PORT`] = String(first.port)
    variables[`${name}_PORT`] = `tcp://${spec.clusterIP}:${first.port}`
    for (const port of spec.ports) {
      if (port.name !== undefined) {
        variables[`${name}_SERVICE_PORT_${port.name.toUpperCase().replaceAll('-', '_')}`] = String(port.port)
      }
      const link = `${name}_PORT_${port.port}_${port.protocol}`
      variables[link] = `${port.protocol.toLowerCase()}://${spec.clusterIP}:${port.port}`
      variables[`${link}_PROTO`] = port.protocol.toLowerCase()
      variables[`${link}_PORT`] = String(port.port)
      variables[`${link}_ADDR`] = spec.clusterIP
    }
  }
  return variables
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  M: 1e6,
  G: 1e9,
}

function resourceField(container: KubeObject, { resource, divisor = '1' }: KubeObject): string {
  const [group, name] = (resource as string).split('.') as [string, string]
  return String(Math.ceil(quantity(container.resources?.[group]?.[name] ?? '0') / (quantity(divisor) || 1)))
}

/** Returns the value of a Kubernetes quantity, in bytes or units. */
export function quantity(text: string): number {
  const [, number, unit = ''] = /^([\d.]+)(\w*)$/.exec(text) ?? []
  if (unit === 'm') return Number(number) / 1000
  return Number(number ?? 0) * (UNITS[unit] ?? 1)
}
