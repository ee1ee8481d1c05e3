// Finds out what a ServiceAccount may do: the collections of the cluster, and the outcome of a call.
import { KubeApiError, type KubeApi, type KubeObject } from './kube-api.ts'

/** Returns the paths of all resources that can be listed, in the whole cluster and in each namespace. */
export async function collections(api: KubeApi, namespaces: readonly string[]): Promise<string[]> {
  const { groups } = await api.get('/apis')
  const versions = [
    '/api/v1',
    ...groups.flatMap(({ versions }: KubeObject) =>
      versions.map(({ groupVersion }: KubeObject) => `/apis/${groupVersion}`),
    ),
  ]
  const paths: string[] = []
  for (const version of versions) {
    const { resources } = await api.get(version)
    for (const { name, namespaced, verbs } of resources) {
      if (!verbs.includes('list')) continue
      paths.push(`${version}/${name}`)
      if (namespaced)
        paths.push(...namespaces.map((namespace) => `${version}/namespaces/${namespace}/${name}`))
    }
  }
  return paths
}

/** Returns the status with which the API server refused a call, or `done`. */
export function outcome(attempt: Promise<unknown>): Promise<number | 'done'> {
  return attempt.then(
    () => 'done',
    (error: unknown) => {
      if (!(error instanceof KubeApiError)) throw error
      return error.status
    },
  )
}
