// Assembles the folder for the container image: the built packages, and the third-party packages that they need, in the
// versions that the lock file specifies. They are not bundled as in the npm package, so that scanners find each package.
// Usage: node scripts/image.mjs IMAGE, after npm ci and tsc -b.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const [image] = process.argv.slice(2)
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages
// Matches sources, type declarations and source maps, which only developers need.
const FOR_DEVELOPERS = /\.(?:[cm]?tsx?|map|tsbuildinfo)$/

const needed = new Set()
need('packages/cli')
for (const path of needed) {
  if (path.includes('node_modules/')) copyPackage(path)
  else copyWorkspace(path)
}
const { version } = lock['packages/cli']
// `npm sbom` reads this file.
writeFileSync(
  join(image, 'package.json'),
  `${JSON.stringify({ name: 'inferwire-image', version, private: true, dependencies: { inferwire: version } }, null, 2)}\n`,
)
console.log(`${needed.size} packages`)

function need(path) {
  if (needed.has(path)) return
  needed.add(path)
  const { dependencies = {} } = lock[path]
  for (const name of Object.keys(dependencies)) need(resolve(path, name))
}

// Resolves a package as Node.js does: searches node_modules in `from`, then in each parent folder. A workspace is found
// as a link.
function resolve(from, name) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))) {
    const path = join(folder, 'node_modules', name)
    if (lock[path] !== undefined) return lock[path].link ? lock[path].resolved : path
    if (folder === '')
      throw new Error(`The lock file does not contain ${name}, which ${from} needs. Run: npm install`)
  }
}

function copyPackage(path) {
  // A package in a workspace's own node_modules is copied to node_modules in that workspace's folder of the image.
  const target = path.replace(/^packages\/[^/]+/, (workspace) => `node_modules/${nameOf(workspace)}`)
  cpSync(path, join(image, target), {
    recursive: true,
    filter: (file) => !FOR_DEVELOPERS.test(file) && (file === path || basename(file) !== 'node_modules'),
  })
}

function copyWorkspace(path) {
  const { files } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
  for (const name of ['package.json', ...files.filter((file) => !file.startsWith('!'))]) {
    cpSync(join(path, name), join(image, 'node_modules', nameOf(path), name), {
      recursive: true,
      filter: (file) => !FOR_DEVELOPERS.test(file),
    })
  }
}

function nameOf(workspace) {
  return JSON.parse(readFileSync(join(workspace, 'package.json'), 'utf8')).name
}
