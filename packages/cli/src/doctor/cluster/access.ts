// Checks that the Kubernetes API can be reached, and that KServe is installed.
import { existsSync } from 'node:fs'
import { KubeError } from '@inferwire/connector'
import { fault, notChecked, ok, type Check, type Outcome } from '../check.ts'
import { KSERVE_API, KSERVE_CONTROLLER, KSERVE_SETTINGS } from './kube-paths.ts'
import { mapOf, textOf } from './inference-service.ts'
import { clusterOf, isClusterNamed, openCluster } from './open-cluster.ts'

const TOKEN_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/token'

export const clusterAccess: Check = {
  id: 'cluster.access',
  title: 'the Kubernetes API can be reached',
  needs: [],
  run: async (context, signal) => {
    const { clusterFlags, env } = context
    if (!isClusterNamed(clusterFlags, env, existsSync(TOKEN_FILE))) {
      return notChecked(
        'no cluster was named; add -n NAMESPACE, the namespace of the models, or --kubeconfig FILE',
      )
    }
    try {
      const { api, user, namespaces } = await openCluster(context, clusterFlags, env, signal)
      const version = textOf(mapOf(await api.get('/version', { signal }))['gitVersion'])
      const who = user === '' ? '' : ` as "${user}"`
      return ok(
        `Kubernetes ${version} at ${api.server} accepts ${api.source}${who}; models are looked for in: ${namespaces.join(', ')}.`,
      )
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      return fault(`The Kubernetes API cannot be used: ${error.message}.`, error.remedy)
    }
  },
}

export const clusterKserve: Check = {
  id: 'cluster.kserve',
  title: 'KServe is installed',
  needs: ['cluster.access'],
  run: async (context, signal) => {
    const { api } = clusterOf(context)
    try {
      await api.get(KSERVE_API, { signal })
    } catch (error) {
      if (!(error instanceof KubeError) || error.status !== 404) throw error
      return fault(
        'KServe is not installed: the API server does not have its API group serving.kserve.io.',
        'Install KServe, or remove -n if the models do not run as InferenceServices.',
      )
    }
    const [version, mode] = await Promise.all([versionOf(), modeOf()])
    const what = `KServe${version === '' ? '' : ` ${version}`} is installed`
    return mode === ''
      ? ok(`${what}; this user may not read its default mode.`)
      : ok(`${what}; its default mode is ${mode}.`)

    // The rights to read these two objects are optional.
    async function versionOf(): Promise<string> {
      const { metadata } = mapOf(await optional(KSERVE_CONTROLLER))
      const labels = mapOf(mapOf(metadata)['labels'])
      return textOf(labels['app.kubernetes.io/version'])
    }
    async function modeOf(): Promise<string> {
      const deploy = textOf(mapOf(mapOf(await optional(KSERVE_SETTINGS))['data'])['deploy'])
      return /"defaultDeploymentMode"\s*:\s*"([A-Za-z]{1,32})"/.exec(deploy)?.[1] ?? ''
    }
    async function optional(path: string): Promise<unknown> {
      return api.get(path, { signal }).catch((error: unknown) => {
        if (error instanceof KubeError && (error.status === 403 || error.status === 404)) return {}
        throw error
      })
    }
  },
}

/** The outcome of a check that could not read objects; a missing right or namespace is not a fault. @throws any other error */
export function unreadable(error: unknown, what: string): Outcome {
  if (!(error instanceof KubeError)) throw error
  if (error.status === 404) return notChecked(`an object does not exist: ${error.message}`)
  if (error.status !== 403) return fault(`${what}: ${error.message}.`, error.remedy)
  return notChecked(`this user may not read ${what}; use the kubeconfig of an administrator`)
}
