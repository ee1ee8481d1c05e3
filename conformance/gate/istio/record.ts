// Records how Istio renders the AuthorizationPolicies that Inferwire generates, as filters.json. Builds a program from
// Istio's own code, which takes about five minutes of CPU time; `npm test` only reads the recorded filters.
//
//   npm run gate:istio
import { spawn, type SpawnOptions } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { format, resolveConfig } from 'prettier'
import { cacheFolder } from '../../fixtures/cache-folder.ts'
import { allPolicies } from './policies.ts'

const FOLDER = fileURLToPath(new URL('./', import.meta.url))

const hash = createHash('sha256')
for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(readFileSync(join(FOLDER, file)))
const program = join(cacheFolder(), `istio-authz-${hash.digest('hex').slice(0, 12)}`, 'render')
if (!existsSync(program)) {
  process.stderr.write('Building the renderer from the source code of Istio …\n')
  const args = ['build', '-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', program, '.']
  await output('go', args, { cwd: FOLDER, env: { ...process.env, CGO_ENABLED: '0' } })
}
const policies = allPolicies()
const text = await output(program, [], {}, JSON.stringify(Object.values(policies)))
const filters = JSON.parse(text) as readonly unknown[]
const recorded = Object.fromEntries(
  Object.entries(policies).map(([name, policy], index) => [name, { policy, filter: filters[index] }]),
)
const file = join(FOLDER, 'filters.json')
const style = await resolveConfig(file)
writeFileSync(file, await format(JSON.stringify(recorded), { ...style, parser: 'json' }))
process.stderr.write(`Recorded ${filters.length} filters.\n`)

/** Runs a program, and returns its output. */
async function output(
  command: string,
  args: readonly string[],
  options: SpawnOptions,
  input = '',
): Promise<string> {
  const child = spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  child.stdin!.end(input)
  let printed = ''
  for await (const chunk of child.stdout!) printed += String(chunk)
  const [code] = (await exit) as [number | null]
  if (code !== 0) throw new Error(`${command} failed with exit code ${code}.`)
  return printed
}
