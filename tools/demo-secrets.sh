#!/usr/bin/env bash
# Secrets in a pod, on this machine: `make demo-secrets`. A cluster with a node, a vault that speaks Keeper's protocol, the webhook as
# deploy/webhook installs it, and a pod that asks for a record. Ctrl-C, or DEMO_ONCE=1, ends all of it.
#
# All files are below target/demo-secrets, and below devcluster's state directory.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

demo=$root/target/demo-secrets
programs=$root/target/quick-release
name="demo-secrets"

need_rust
((EUID == 0)) || die "a node needs root: run sudo make demo-secrets"
need_packages "${node_packages[@]}" util-linux
say "building devcluster (Kubernetes itself: some ten minutes the first time, seconds later)"
devcluster=$(devcluster_program)
say "building mk8s-webhook, keeper-secrets and the vault (minutes the first time)"
cargo build --quiet --profile quick-release --package mk8s-webhook --package keeper-secrets --package mk8s-testkit --bin ksm-server \
	--bin mk8s-webhook --bin keeper-secrets
exec_program=$(tools/build-exec.sh quick-release)

rm -rf "$demo"
mkdir -p "$demo"
chmod 700 "$demo"
finish() {
	trap "" INT TERM
	say "ending the cluster and the vault"
	[[ -z ${vault_pid:-} ]] || kill "$vault_pid" 2>/dev/null || true
	"$devcluster" down --name "$name" 2>/dev/null || true
}
trap finish EXIT
trap 'echo >&2; exit 0' INT TERM

say "starting a cluster with a node"
"$devcluster" up --name "$name" --node --detach >/dev/null
KUBECONFIG=$("$devcluster" kubeconfig --name "$name")
export KUBECONFIG
kubectl=("$devcluster" kubectl)
host=$("$devcluster" status --name "$name" -o json | sed -n 's/.*"host_address": *"\([^"]*\)".*/\1/p' | head -n 1)
[[ -n $host ]] || die "devcluster doesn't say at which address pods find this machine"

# image PROGRAM [STATIC-PROGRAM...]: puts an image of it on the node, and prints its name.
image() {
	local program=$1 reference files=() file
	shift
	reference=localhost/mk8s/$program:demo
	tools/image-root.sh "$programs/$program" "$demo/image/$program" "$@"
	while read -r file; do
		files+=(--file "$file:${file#"$demo/image/$program"}:0755")
	done < <(find "$demo/image/$program" -type f)
	"$devcluster" image build --name "$reference" --entrypoint "/$program" "${files[@]}" -o "$demo/$program.tar" >/dev/null
	"$devcluster" image load --name "$name" "$demo/$program.tar" >/dev/null
	echo "$reference"
}
say "putting images on the node"
webhook_image=$(image mk8s-webhook)
secrets_image=$(image keeper-secrets "$exec_program")

say "starting the vault"
password=$(head -c 12 /dev/urandom | base64)
cat >"$demo/vault.yaml" <<-YAML
	records:
	  - title: Production Database
	    fields:
	      - {type: login, value: [app]}
	      - {type: password, value: ["$password"]}
	    custom:
	      - {type: text, label: host, value: [db.example]}
YAML
setpriv --pdeathsig TERM -- "$programs/ksm-server" --listen "$host:0" --vault "$demo/vault.yaml" --output "$demo/vault" \
	</dev/null >"$demo/vault.log" 2>&1 &
vault_pid=$!
for _ in {1..100}; do
	[[ -s $demo/vault/config.json ]] && break
	sleep 0.1
done
[[ -s $demo/vault/config.json ]] || { tail -n 5 "$demo/vault.log" >&2; die "the vault doesn't start"; }
vault_host=$(sed -n 's/.*"hostname": *"\([^"]*\)".*/\1/p' "$demo/vault/config.json")

say "installing the webhook"
"${kubectl[@]}" apply --server-side --filename deploy/webhook/rbac.yaml >/dev/null
sed -e "s|image: mk8s/mk8s-webhook:.*|image: $webhook_image|" \
	-e "s|    log: {format: json}|    log: {format: json}\n    secrets: {image: '$secrets_image', imagePullPolicy: Never, hosts: ['$vault_host']}|" \
	deploy/webhook/deployment.yaml >"$demo/deployment.yaml"
"${kubectl[@]}" apply --server-side --filename "$demo/deployment.yaml" >/dev/null
"${kubectl[@]}" apply --server-side --filename deploy/webhook/webhook.yaml >/dev/null
"${kubectl[@]}" --namespace mk8s-system rollout status deployment mk8s-webhook --timeout=120s >/dev/null

say "making a pod that asks for a record"
"${kubectl[@]}" create secret generic keeper-config --from-file=config="$demo/vault/config.json" >/dev/null
"${kubectl[@]}" create configmap vault-ca --from-file=ca.crt="$demo/vault/ca.pem" >/dev/null
cat >"$demo/pod.yaml" <<-YAML
	apiVersion: v1
	kind: Pod
	metadata:
	  name: app
	  annotations:
	    keeper.security/inject: "true"
	    keeper.security/ksm-config: keeper-config
	    keeper.security/ca-cert-configmap: vault-ca
	    keeper.security/secret: Production Database
	    keeper.security/secret-dsn: keeper://Production Database/custom_field/host:/app/config/host
	spec:
	  terminationGracePeriodSeconds: 1
	  containers:
	    - name: app
	      image: localhost/mk8s/busybox:dev
	      imagePullPolicy: Never
YAML
"${kubectl[@]}" apply --filename "$demo/pod.yaml" >/dev/null
"${kubectl[@]}" wait --for=condition=Ready pod/app --timeout=120s >/dev/null

shown=(cat /keeper/secrets/production-database.json)
echo
echo "What the pod asks for (target/demo-secrets/pod.yaml):"
grep keeper.security "$demo/pod.yaml"
echo
echo "What its program finds:"
echo "\$ kubectl exec app -- ${shown[*]}"
"${kubectl[@]}" exec app --container app -- "${shown[@]}"
echo
echo "\$ kubectl exec app -- cat /app/config/host"
"${kubectl[@]}" exec app --container app -- cat /app/config/host
echo
echo
if "${kubectl[@]}" get pod app --output yaml | grep --quiet --fixed-strings -- "$password"; then
	die "the password stands in the pod's specification"
fi
echo "The password is nowhere in \`kubectl get pod app -o yaml\`."
[[ ${DEMO_ONCE:-} != 1 ]] || exit 0
echo "To go on:  export KUBECONFIG=$KUBECONFIG; docs/secrets.md says what else can be asked for."
say "everything runs; Ctrl-C ends it"
wait "$vault_pid"
