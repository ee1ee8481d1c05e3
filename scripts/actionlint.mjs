// Builds actionlint, which checks the release workflow, from its Go module.
import { cachedFolder } from './cache.mjs'
import { findGo, goEnvironment } from './go.mjs'
import { run, say } from './step.mjs'

// conformance/release.test.ts uses the same folder name.
const VERSION = '1.7.12'

/** Builds the program in the cache folder, once. `python` must have pip. @throws Error with the remedy */
export async function buildActionlint(python) {
  await cachedFolder(`actionlint-${VERSION}`, async (folder) => {
    const go = await findGo(python)
    say('Building actionlint (once) …')
    const built = await run(go, ['install', `github.com/rhysd/actionlint/cmd/actionlint@v${VERSION}`], {
      env: {
        ...goEnvironment(),
        GOBIN: folder,
        CGO_ENABLED: '0',
        GOFLAGS: '-trimpath',
      },
    })
    if (built.code !== 0) {
      throw new Error(
        `actionlint could not be built:\n${built.output}\nCheck that this machine can reach a Go module proxy (go env GOPROXY).`,
      )
    }
  })
}
