// Builds KServe's controller manager from its Go module, with its CRDs, its chart and Knative's Service.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cachedFolder } from './cache.mjs'
import { BUILD_MINUTES_MAX, findGo, goBuild, goEnvironment } from './go.mjs'
import { must } from './pinned-file.mjs'
import { ROOT, run, say } from './step.mjs'

const RECIPE = 'conformance/cluster/kserve/recipe.json'

/**
 * Builds the manager once (5 to 7 CPU minutes, 83 MB). `python` and `clients` are promises: an interpreter with pip,
 * and the folder of helm. conformance/cluster/components.ts uses the same folder name. @throws Error with the remedy
 */
export async function buildKserveController(python, clients) {
  const text = readFileSync(join(ROOT, RECIPE), 'utf8')
  const recipe = JSON.parse(text)
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 12)
  await cachedFolder(
    `kserve-controller-${recipe.version}-${hash}`,
    async (folder) => {
      const go = await findGo(python)
      say(`Building KServe's controller ${recipe.version} in the background (once; 3 to 10 minutes) …`)
      const module = await downloadModule(go, recipe)
      // KServe's own go.mod pins all dependencies, so the program is built in the module's folder.
      const output = join(folder, 'kserve-manager')
      await goBuild(go, { what: "KServe's controller", cwd: module, output, packages: ['./cmd/manager'] })
      const helm = join(await clients, 'helm')
      const rendered = {}
      for (const [part, charts] of Object.entries(recipe.charts)) {
        rendered[part] = ''
        for (const { chart, values } of charts) {
          const set = values.flatMap((value) => ['--set', value])
          const from = join(module, 'charts', chart)
          rendered[part] +=
            `---\n${await must(helm, ['template', 'kserve', from, '-n', recipe.namespace, ...set])}`
        }
      }
      const knative = (
        await must(go, ['list', '-m', '-f', '{{.Dir}}', 'knative.dev/serving'], inside(module))
      ).trim()
      const files = recipe.knative.map((file) => readFileSync(join(knative, file), 'utf8'))
      await writeObjects(folder, { ...rendered, knative: files.join('\n---\n') })
      say("Built KServe's controller.")
    },
    BUILD_MINUTES_MAX * 60,
  )
}

/** Returns the module's folder in Go's module cache. */
async function downloadModule(go, { version, sum }) {
  const module = `github.com/kserve/kserve@v${version}`
  // Outside of a module, Go checks the download against its checksum database, if the machine uses one.
  const { code, output } = await run(go, ['mod', 'download', '-json', module], inside('/'))
  if (code !== 0) {
    throw new Error(
      `go mod download ${module} failed:\n${output}\nCheck that this machine can reach a Go module proxy (go env GOPROXY).`,
    )
  }
  // `output` also contains the standard error.
  const found = JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1))
  if (found.Sum !== sum)
    throw new Error(`${module} has the checksum ${found.Sum}, but ${RECIPE} pins ${sum}.`)
  return found.Dir
}

function inside(cwd) {
  return { cwd, env: { ...goEnvironment(), GOFLAGS: '-mod=readonly' } }
}

// The tests read JSON, because parsing 2 MB of YAML takes seconds.
async function writeObjects(folder, parts) {
  const { parseAllDocuments } = await import('yaml')
  for (const [name, text] of Object.entries(parts)) {
    const objects = parseAllDocuments(text)
      .map((document) => document.toJS())
      .filter((object) => object !== null)
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(objects))
  }
}
