// Packs every package for npm, after `npm run build`. Usage: node scripts/pack.mjs FOLDER [--repository URL]
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleCommand } from './pack/bundle-command.mjs'
import { publishedManifest } from './pack/published-manifest.mjs'
import { fail, ROOT, run } from './step.mjs'

// The files of a build that no user of a package needs.
const NOT_PUBLISHED = /\.tsbuildinfo$/
const COMMAND = 'inferwire'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { repository: { type: 'string' } },
})
const [folder] = positionals
if (folder === undefined) fail('Usage: node scripts/pack.mjs FOLDER [--repository URL]')

const staged = join(folder, 'staged')
rmSync(staged, { recursive: true, force: true })
const packages = readdirSync(join(ROOT, 'packages')).map((name) => stage(join(ROOT, 'packages', name)))
await bundleCommand(join(staged, COMMAND))
const targets = packages.map((name) => join(staged, folderOf(name)))
const packed = await run('npm', ['pack', '--json', '--pack-destination', folder, ...targets])
if (packed.code !== 0) fail(`npm pack failed:\n${packed.output}`)
rmSync(staged, { recursive: true })

/** Copies a package's files to its folder in `staged`, with the manifest for npm. Returns the package's name. */
function stage(from) {
  const manifest = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'))
  const to = join(staged, folderOf(manifest.name))
  mkdirSync(to, { recursive: true })
  // The command's files in `dist` are bundled instead, with the packages that they import.
  const names = manifest.files.filter(
    (name) => !name.startsWith('!') && !(manifest.name === COMMAND && name === 'dist'),
  )
  for (const name of [...names, 'README.md']) copy(join(from, name), join(to, name))
  copy(join(ROOT, 'LICENSE'), join(to, 'LICENSE'))
  const published = publishedManifest(manifest, { isBundled: manifest.name === COMMAND, ...values })
  writeFileSync(join(to, 'package.json'), `${JSON.stringify(published, null, 2)}\n`)
  return manifest.name
}

function copy(from, to) {
  if (!existsSync(from)) fail(`"${from}" is missing. Run "npm run build" first.`)
  cpSync(from, to, { recursive: true, filter: (file) => !NOT_PUBLISHED.test(file) })
}

function folderOf(name) {
  return name.replace('@', '').replace('/', '-')
}
