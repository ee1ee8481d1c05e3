// Puts the image's folder together: our packed packages, and of the third-party ones what they need, at the versions of
// the lock file. Usage: node scripts/image.mjs PACKS IMAGE, in the folder where npm ci and npm pack have been.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const [packs, image] = process.argv.slice(2)
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages
// Sources, types and source maps are for developers.
const FOR_DEVELOPERS = /\.(?:[cm]?tsx?|map|tsbuildinfo)$/

const needed = new Set()
need('packages/cli')
for (const path of needed) {
  if (path.includes('node_modules/')) copyPackage(path)
  else unpack(path)
}
const { version } = lock['packages/cli']
// For npm sbom.
writeFileSync(
  join(image, 'package.json'),
  `${JSON.stringify({ name: 'inferwire-image', version, private: true, dependencies: { inferwire: version } }, null, 2)}\n`,
)
console.log(`${needed.size} packages`)

// What is optional is for `inferwire dev`: a broker, and a model server with its engine.
function need(path) {
  if (needed.has(path)) return
  needed.add(path)
  const { dependencies = {} } = lock[path]
  for (const name of Object.keys(dependencies)) need(resolve(path, name))
}

// As Node.js does: the nearest node_modules on the way up. A workspace is a link there.
function resolve(from, name) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))) {
    const path = join(folder, 'node_modules', name)
    if (lock[path] !== undefined) return lock[path].link ? lock[path].resolved : path
    if (folder === '') throw new Error(`The lock file has no ${name} for ${from}. Run: npm install`)
  }
}

function copyPackage(path) {
  // A package of a workspace's own moves with it.
  const target = path.replace(/^packages\/[^/]+/, (workspace) => `node_modules/${nameOf(workspace)}`)
  cpSync(path, join(image, target), {
    recursive: true,
    filter: (file) => !FOR_DEVELOPERS.test(file) && (file === path || basename(file) !== 'node_modules'),
  })
}

function unpack(path) {
  const name = nameOf(path)
  const pack = `${name.replace('@', '').replace('/', '-')}-${lock[path].version}.tgz`
  if (!readdirSync(packs).includes(pack))
    throw new Error(`${join(packs, pack)} is missing. Run: npm pack --workspaces`)
  const folder = join(image, 'node_modules', name)
  mkdirSync(folder, { recursive: true })
  // Without owners of another machine, and readable for every user.
  const options = ['--strip-components=1', '--no-same-owner', '--exclude=*.d.ts', '--exclude=*.tsbuildinfo']
  execFileSync('tar', ['xzf', join(packs, pack), '-C', folder, ...options])
}

function nameOf(workspace) {
  return JSON.parse(readFileSync(join(workspace, 'package.json'), 'utf8')).name
}
