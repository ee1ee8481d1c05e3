// `CHAOS_PLANT=name node --import …/register.mjs inferwire.js connect …`: a connector with one planted bug.
import { readFileSync } from 'node:fs'
import { register } from 'node:module'
import { PLANTS } from './plants.mjs'

const name = process.env['CHAOS_PLANT'] ?? ''
const mutations = PLANTS[name]
if (mutations === undefined) {
  throw new Error(`CHAOS_PLANT is "${name}"; known are: ${Object.keys(PLANTS).join(', ')}.`)
}
const dist = new URL('../../../packages/connector/dist/', import.meta.url)

/** Sources of the changed files by URL. */
const sources = {}
for (const { file, find, replace } of mutations) {
  const url = new URL(file, dist)
  const source = sources[url.href] ?? readFileSync(url, 'utf8')
  const count = source.split(find).length - 1
  if (count !== 1) {
    throw new Error(`The planted bug "${name}" does not fit: ${count} times, not once, in ${file}: ${find}`)
  }
  sources[url.href] = source.replace(find, () => replace)
}
register('./hooks.mjs', import.meta.url, { data: sources })
