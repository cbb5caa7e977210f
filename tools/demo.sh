#!/usr/bin/env bash
# The whole gateway on this machine: `make demo`. A cluster with a node, central, an agent, and a person who is logged in.
#
#   DEMO_DETACH=1          return when everything runs; `make demo-stop` ends it
#   DEMO_KUBECONFIG=FILE   use this cluster (its current context; you must be its administrator) in place of one made here
#   DEMO_IMAGE=IMAGE       what the example runs there (a cluster made here brings its own)
#
# All files are below target/demo, and below devcluster's state directory.
set -euo pipefail
# shellcheck source=tools/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

demo=$root/target/demo
programs=$root/target/quick-release
pids=$demo/pids
email=admin@example.com

# stop: ends what an earlier demo left, in this order: agent, central, cluster.
stop() {
	local name pid begun
	if [[ -f $pids ]]; then
		while read -r name pid begun; do
			alive "$pid" "$begun" || continue
			say "ending $name"
			kill -TERM "$pid"
			for _ in {1..300}; do
				alive "$pid" "$begun" || continue 2
				sleep 0.1
			done
			kill -KILL "$pid"
		done < <(tac "$pids")
		rm -f "$pids"
	fi
	if [[ -f $demo/cluster && ${1:-} != keep-cluster ]]; then
		say "ending the cluster"
		"$(<"$demo/cluster")" down --name demo
		rm -f "$demo/cluster"
	fi
}

# start NAME COMMAND...: runs it beside us, with its log in target/demo/NAME.log, and notes its process id.
start() {
	local name=$1
	shift
	local tied=(setpriv --pdeathsig TERM --)
	if [[ ${DEMO_DETACH:-} == 1 ]]; then tied=(); fi
	# In a session of its own: Ctrl-C is for this script, which ends everything in order.
	setsid "${tied[@]}" "$@" </dev/null >"$demo/$name.log" 2>&1 &
	last_pid=$!
	disown
	echo "$name $last_pid $(start_time "$last_pid")" >>"$pids"
}

# free_port FROM: the first port from there on that nobody listens on.
free_port() {
	local port=$1
	while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
	echo "$port"
}

# shown NAME: the end of a program's log, for when it failed.
shown() {
	tail -n 15 "$demo/$1.log" >&2
	die "$1 failed; its whole log is target/demo/$1.log"
}

if [[ ${1:-} == stop ]]; then
	stop
	say "nothing of the demo runs any more"
	exit
fi

mkdir -p "$demo"
chmod 700 "$demo"

# What is needed, and building it.
need_rust
command -v setpriv >/dev/null || need_packages util-linux
if [[ -z ${DEMO_KUBECONFIG:-} ]]; then
	((EUID == 0)) || die "a node needs root: run sudo make demo, or set DEMO_KUBECONFIG to the kubeconfig of a cluster"
	need_packages "${node_packages[@]}"
	say "building devcluster (Kubernetes itself: some ten minutes the first time, seconds later)"
	devcluster=$(devcluster_program)
fi
say "building mk8s-central, mk8s-agent and mk8s (minutes the first time)"
cargo build --profile quick-release --package mk8s-central --package mk8s-agent --package mk8s

# A demo that still runs, or crashed, makes way. Its cluster may stay: `up` finds it running.
stop keep-cluster
rm -rf "${demo:?}"/{central,agent,home,bin} "${demo:?}"/*.{kubeconfig,yaml,log,pem}
trap 'trap "" INT TERM; stop' EXIT
trap 'echo >&2; exit 0' INT TERM

# The cluster, with the agent's few rights in it.
if [[ -z ${DEMO_KUBECONFIG:-} ]]; then
	say "starting a cluster with a node"
	echo "$devcluster" >"$demo/cluster"
	"$devcluster" up --name demo --node --detach >/dev/null
	DEMO_KUBECONFIG=$("$devcluster" kubeconfig --name demo)
	image=${DEMO_IMAGE:-localhost/mk8s/busybox:dev}
	pull=Never
else
	image=${DEMO_IMAGE:-busybox:stable}
	pull=IfNotPresent
fi
kubectl=$(command -v kubectl || true)
if [[ -z $kubectl ]]; then
	[[ -n ${devcluster:-} ]] || die "kubectl is missing: install it (https://kubernetes.io/docs/tasks/tools/)"
	mkdir -p "$demo/bin"
	kubectl=$demo/bin/kubectl
	printf '#!/bin/sh\nexec %q kubectl "$@"\n' "$devcluster" >"$kubectl"
	chmod 755 "$kubectl"
fi
direct=("$kubectl" --kubeconfig "$demo/direct.kubeconfig")
(
	umask 077
	"$kubectl" --kubeconfig "$DEMO_KUBECONFIG" config view --minify --flatten --raw >"$demo/direct.kubeconfig"
)
"${direct[@]}" apply --server-side --force-conflicts --filename deploy/agent-rbac.yaml >/dev/null
agent_kubeconfig=$demo/agent/kubeconfig
mkdir -p "$demo/agent"
(
	umask 077
	"${direct[@]}" config view --minify --flatten --raw >"$agent_kubeconfig"
	as_agent=("$kubectl" config --kubeconfig "$agent_kubeconfig")
	context=$("${as_agent[@]}" current-context)
	user=$("${as_agent[@]}" view --output 'jsonpath={.contexts[0].context.user}')
	token=$("${direct[@]}" --namespace mk8s-system create token mk8s-agent --duration 168h)
	"${as_agent[@]}" delete-user "$user" >/dev/null
	"${as_agent[@]}" set-credentials mk8s-agent --token "$token" >/dev/null
	"${as_agent[@]}" set-context "$context" --user mk8s-agent >/dev/null
)

# Central.
say "starting mk8s-central"
for attempt in 1 2 3; do
	http_port=$(free_port $((8440 + attempt * 10)))
	grpc_port=$(free_port $((http_port + 1)))
	cat >"$demo/central.yaml" <<-YAML
		server:
		  bind: 127.0.0.1
		  http_port: $http_port
		  grpc_port: $grpc_port
		  names: [localhost, 127.0.0.1]
		data_dir: $demo/central
	YAML
	if [[ ! -d $demo/central ]]; then
		"$programs/mk8s-central" init --config "$demo/central.yaml" --admin-email "$email" >"$demo/init.out" 2>"$demo/mk8s-central.log" ||
			shown mk8s-central
		password=$(sed -n 's/^password: //p' "$demo/init.out")
		rm -f "$demo/init.out"
	fi
	start mk8s-central "$programs/mk8s-central" serve --config "$demo/central.yaml"
	central_pid=$last_pid
	for _ in {1..300}; do
		if grep -q "central is ready" "$demo/mk8s-central.log"; then break 2; fi
		[[ -d /proc/$central_pid ]] || break
		sleep 0.1
	done
	grep -q "in use" "$demo/mk8s-central.log" || shown mk8s-central
done
"$programs/mk8s-central" ca --config "$demo/central.yaml" >"$demo/ca.pem"

# The agent.
say "starting mk8s-agent"
cat >"$demo/agent.yaml" <<-YAML
	central:
	  url: https://127.0.0.1:$grpc_port
	  token: \${AGENT_TOKEN}
	  connections: 2
	cluster:
	  name: demo
	tls:
	  ca_file: $demo/ca.pem
	state_dir: $demo/agent/state
	kubernetes:
	  kubeconfig: $agent_kubeconfig
YAML
AGENT_TOKEN=$("$programs/mk8s-central" agent-token create --config "$demo/central.yaml" --cluster demo --ttl 1h)
export AGENT_TOKEN
start mk8s-agent env -u KUBECONFIG "$programs/mk8s-agent" --config "$demo/agent.yaml"
agent_pid=$last_pid
unset AGENT_TOKEN

# A person.
export MK8S_HOME=$demo/home
mk8s=$programs/mk8s
"$mk8s" login --central "https://127.0.0.1:$http_port" --email "$email" --password-stdin --ca-file "$demo/ca.pem" <<<"$password"
for _ in {1..300}; do
	[[ $("$mk8s" clusters list --output json) == *'"connected"'* ]] && break
	[[ -d /proc/$agent_pid ]] || shown mk8s-agent
	sleep 0.1
done
"$mk8s" clusters use demo
if [[ $kubectl == "$demo/bin/kubectl" ]]; then
	echo "kubectl: $kubectl" >>"$MK8S_HOME/config.yaml"
fi
"$mk8s" kubeconfig --output "$demo/gateway.kubeconfig" 2>/dev/null

say "running something in it"
"$mk8s" kubectl apply --filename - <<-YAML
	apiVersion: apps/v1
	kind: Deployment
	metadata:
	  name: hello
	spec:
	  replicas: 2
	  selector: {matchLabels: {app: hello}}
	  template:
	    metadata: {labels: {app: hello}}
	    spec:
	      terminationGracePeriodSeconds: 1
	      containers:
	        - name: hello
	          image: $image
	          imagePullPolicy: $pull
	          command: [sh, -c, "while :; do echo hello from \$(hostname); sleep 5; done"]
YAML
"$mk8s" kubectl rollout status deployment/hello --timeout 120s
echo
echo "\$ mk8s kubectl get pods"
"$mk8s" kubectl get pods

cat <<-TEXT

	A person has come through the gateway to a real cluster. To go on, in another shell:

	  export MK8S_HOME=$demo/home PATH=$programs:\$PATH
	  mk8s status
	  mk8s kubectl logs -f deployment/hello
	  mk8s kubectl exec -it deployment/hello -- sh

	  kubectl --kubeconfig $demo/gateway.kubeconfig get pods --all-namespaces    # through the gateway
	  kubectl --kubeconfig $demo/direct.kubeconfig get pods --all-namespaces     # straight to the API server

	  central: https://127.0.0.1:$http_port   administrator: $email   password: $password

TEXT
if [[ ${DEMO_DETACH:-} == 1 ]]; then
	trap - EXIT
	say "everything runs; end it by: make demo-stop"
	exit
fi
say "everything runs until Ctrl-C"
while [[ -d /proc/$central_pid && -d /proc/$agent_pid ]]; do sleep 1; done
[[ -d /proc/$central_pid ]] || shown mk8s-central
shown mk8s-agent
