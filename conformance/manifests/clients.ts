// Finds helm and kubectl in the cache folder, where scripts/kubernetes-tools.mjs installs them.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../fixtures/cache-folder.ts'

/** Returns the path of the program. @throws an error that names the remedy if the program has not been downloaded */
export function kubernetesClient(name: 'helm' | 'kubectl'): string {
  const program = join(cacheFolder(), 'kubectl-helm-2.0.1', name)
  if (!existsSync(program)) {
    throw new Error(`The tests need ${name} (${program}). Run "npm test" once to download it.`)
  }
  return program
}
