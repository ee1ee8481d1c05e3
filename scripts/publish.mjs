// Publishes the packages in a folder, each after those that it depends on. A package whose version is already in the
// registry is left out, so that an interrupted release can be repeated. Usage: node scripts/publish.mjs FOLDER [OPTION…];
// the options are those of npm publish.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fail, run, say } from './step.mjs'

const [folder, ...options] = process.argv.slice(2)
const packages = await Promise.all(
  readdirSync(folder)
    .filter((name) => name.endsWith('.tgz'))
    .map(async (name) => ({ file: join(folder, name), ...(await manifestIn(join(folder, name))) })),
)
if (packages.length === 0) fail(`"${folder}" contains no packages. Run: node scripts/pack.mjs ${folder}`)

for (const { name, version, file } of inOrder(packages)) {
  const published = await run('npm', ['publish', file, '--access', 'public', ...options])
  if (published.code === 0) say(`${name}@${version} is published`)
  // A registry never replaces a version, and each reports this in different words.
  else if (await isPublished(name, version)) say(`${name}@${version} is already published`)
  else fail(`npm publish ${file} failed:\n${published.output}`)
}

async function isPublished(name, version) {
  const found = await run('npm', ['view', `${name}@${version}`, 'version'])
  return found.code === 0 && found.output.trim() === version
}

function inOrder(all) {
  const ordered = []
  const add = (each) => {
    if (ordered.includes(each)) return
    for (const name of Object.keys(each.dependencies ?? {})) {
      const needed = all.find((other) => other.name === name)
      if (needed !== undefined) add(needed)
    }
    ordered.push(each)
  }
  // The command installs its peer, the development stack, on first use.
  for (const each of all) if (each.peerDependencies === undefined) add(each)
  for (const each of all) add(each)
  return ordered
}

async function manifestIn(file) {
  const { output } = await run('tar', ['xzOf', file, 'package/package.json'])
  return JSON.parse(output)
}
