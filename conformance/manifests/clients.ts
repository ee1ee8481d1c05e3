// Where helm and kubectl are: in the cache folder, by the rule of scripts/kubernetes-tools.mjs.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../fixtures/cache-folder.ts'

/** The path of one of the two. @throws when it was not fetched yet, with what to do */
export function kubernetesClient(name: 'helm' | 'kubectl'): string {
  const program = join(cacheFolder(), 'kubectl-helm-2.0.1', name)
  if (!existsSync(program)) {
    throw new Error(`The tests need ${name} (${program}). Run "npm test" once: it fetches it.`)
  }
  return program
}
