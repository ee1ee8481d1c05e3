// Builds oauth2-proxy, the login service of Kubeflow's gateway, from its Go module.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cachedFolder } from './cache.mjs'
import { BUILD_MINUTES_MAX, findGo, goBuild } from './go.mjs'
import { ROOT, say } from './step.mjs'

const GO_MODULE = 'conformance/gate/go'

/**
 * Builds oauth2-proxy once (2 CPU minutes, 30 MB). `python` is the promise of an interpreter with pip.
 * conformance/gate/oauth2-proxy.ts uses the same folder name. @throws Error with the remedy
 */
export async function buildLoginService(python) {
  const module = ['go.mod', 'go.sum'].map((file) => readFileSync(join(ROOT, GO_MODULE, file), 'utf8'))
  const hash = createHash('sha256').update(module.join('')).digest('hex').slice(0, 12)
  await cachedFolder(
    `oauth2-proxy-${hash}`,
    async (folder) => {
      const go = await findGo(python)
      say('Building oauth2-proxy in the background (once; 2 to 8 minutes) …')
      await goBuild(go, {
        what: 'oauth2-proxy',
        cwd: join(ROOT, GO_MODULE),
        output: join(folder, 'oauth2-proxy'),
        packages: ['github.com/oauth2-proxy/oauth2-proxy/v7'],
      })
      say('Built oauth2-proxy.')
    },
    BUILD_MINUTES_MAX * 60,
  )
}
