// Starts a connector with one planted bug: `CHAOS_PLANT=name node --import …/register.mjs inferwire.js connect …`.
import { readFileSync } from 'node:fs'
import { register } from 'node:module'
import { MUTATIONS } from './mutations.mjs'

const name = process.env['CHAOS_PLANT'] ?? ''
const mutations = MUTATIONS[name]
if (mutations === undefined) {
  throw new Error(
    `There is no planted bug "${name}" (CHAOS_PLANT). The names are: ${Object.keys(MUTATIONS).join(', ')}.`,
  )
}
const dist = new URL('../../../packages/connector/dist/', import.meta.url)

/** Sources of the changed files by URL. */
const sources = {}
for (const { file, find, replace } of mutations) {
  const url = new URL(file, dist)
  const source = sources[url.href] ?? readFileSync(url, 'utf8')
  const count = source.split(find).length - 1
  if (count !== 1) {
    throw new Error(
      `The planted bug "${name}" cannot be applied: ${file} contains the following text ${count} times instead of once: ${find}`,
    )
  }
  sources[url.href] = source.replace(find, () => replace)
}
register('./hooks.mjs', import.meta.url, { data: sources })
