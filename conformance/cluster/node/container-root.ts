// Builds the root file system of a container: this machine's programs, a private /etc and /tmp, and the pod's volumes.
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Image } from './images.ts'

/** A folder of the node that is mounted into the container. */
export interface Mount {
  readonly from: string
  readonly to: string
  readonly isReadOnly: boolean
}

/** The parameters of a root file system. */
export interface ContainerRoot {
  readonly image: Image
  readonly mounts: readonly Mount[]
  readonly isReadOnly: boolean
  readonly hostname: string
  readonly resolvConf: string
  /** Folder on the node for generated files. */
  readonly folder: string
  readonly user: number
}

const FROM_THIS_MACHINE = ['usr', 'bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']
const ETC_FROM_THIS_MACHINE = [
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'ssl',
  'alternatives',
  'localtime',
]

/**
 * Returns shell commands that build the root file system and switch to it, in the mount namespace in which they run.
 * The mounts disappear with the namespace.
 */
export function makeRootScript(root: ContainerRoot): string {
  const path = join(root.folder, 'root')
  mkdirSync(path, { recursive: true })
  const lines = ['set -e', `mount -t tmpfs -o mode=755 container ${quote(path)}`, `cd ${quote(path)}`]
  for (const name of FROM_THIS_MACHINE.filter((found) => existsSync(`/${found}`))) {
    if (lstatSync(`/${name}`).isSymbolicLink()) lines.push(`cp -P /${name} ${name}`)
    else lines.push(...bind(`/${name}`, `/${name}`, true))
  }
  lines.push(
    'mkdir -m 1777 tmp',
    'mkdir -p proc dev sys etc run',
    'mount --rbind /proc proc',
    'mount --rbind /dev dev',
  )
  for (const name of ETC_FROM_THIS_MACHINE.filter((found) => existsSync(`/etc/${found}`))) {
    lines.push(...bind(`/etc/${name}`, `/etc/${name}`, true))
  }
  for (const folder of root.image.folders) lines.push(...bind(folder, folder, true))
  for (const [file, text] of Object.entries({ ...etcFiles(root), ...root.image.files })) {
    const kept = join(root.folder, file.replaceAll('/', '_'))
    writeFileSync(kept, text, { mode: 0o755 })
    lines.push(`mkdir -p .${quote(file.replace(/\/[^/]*$/, ''))}`, `cp -p ${quote(kept)} .${quote(file)}`)
  }
  for (const folder of root.image.ownFolders ?? []) {
    // chown fails in a user namespace with a single user, but that user owns the folder already.
    lines.push(`mkdir -p .${folder}`, `chown ${root.user}:${root.user} .${folder} 2>&- || :`)
  }
  for (const { from, to, isReadOnly } of root.mounts) lines.push(...bind(from, to, isReadOnly))
  // After a chroot, a process could not create a user namespace, so the script uses pivot_root.
  lines.push('mkdir -p .old', 'pivot_root . .old', 'umount -l /.old', 'rmdir /.old')
  if (root.isReadOnly) lines.push('mount -o remount,ro,bind /')
  return lines.join('\n')
}

function bind(from: string, to: string, isReadOnly: boolean): string[] {
  const isFolder = !existsSync(from) || lstatSync(from).isDirectory() || isFolderBehindLink(from)
  const target = `.${quote(to)}`
  return [
    isFolder ? `mkdir -p ${target}` : `mkdir -p .${quote(to.replace(/\/[^/]*$/, ''))}; : >> ${target}`,
    `mount --rbind ${quote(from)} ${target}`,
    ...(isReadOnly ? [`mount -o remount,ro,bind ${target}`] : []),
  ]
}

function isFolderBehindLink(path: string): boolean {
  try {
    return lstatSync(`${path}/`).isDirectory()
  } catch {
    return false
  }
}

function etcFiles({ hostname, resolvConf, user }: ContainerRoot): Record<string, string> {
  const group = readFileSync('/etc/group', 'utf8')
  return {
    '/etc/hostname': `${hostname}\n`,
    '/etc/hosts': `127.0.0.1 localhost\n::1 localhost\n`,
    '/etc/resolv.conf': resolvConf,
    '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
    // 1883 is the id of the user mosquitto in Mosquitto's image.
    '/etc/passwd': `root:x:0:0:root:/root:/bin/sh\nmosquitto:x:1883:1883::/:/bin/false\nown:x:${user}:${user}::/tmp:/bin/sh\n`,
    '/etc/group': `${group}\nmosquitto2:x:1883:\n`,
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
